"""jobs.lora as a user types it: files others read, one line when something is wrong."""

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import jobs.lora
from pipeline.models import adapters
from pipeline.models.conf import LoraConfig, LoraUse, Targets
from pipeline.models.lora_files import save_lora
from pipeline.models.lora_header import read_header
from pipeline.models.registry import load_model
from tests.fakes.adapters import NANO, answer, trained

CFG = LoraConfig(rank=4, alpha=6.0)
DATA = {"name": "tiles", "digest": "0" * 64, "licences": [{"licence": "CC0-1.0"}]}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two run folders with a LoRA each, of two data sets."""
    made = []
    for number, licence in enumerate(("CC0-1.0", "CC-BY-4.0")):
        run = tmp_path_factory.mktemp("runs") / f"run{number}"
        data = DATA | {"licences": [{"licence": licence}]}
        metadata = {
            "modelspec.title": f"tiles {number}", "dgx_pixels_run": f"tiles/{number}",
            "dgx_pixels_data": json.dumps([data]), "ss_seed": "3", "ss_tag_frequency": "{}",
        }  # fmt: skip
        cfg = LoraConfig(rank=4, alpha=6.0, targets=Targets.all) if number else CFG
        save_lora(trained(cfg, seed=number), cfg, run / "lora", metadata=metadata)
        made.append(run)
    return made


def call(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["jobs.lora", *map(str, arguments)])
    return jobs.lora.main()


def drawn(*uses: LoraUse) -> torch.Tensor:
    model = load_model(NANO, device="cpu")
    adapters.apply(model, list(uses))
    return answer(model)


def test_convert_there_and_back(
    runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = drawn(LoraUse(path=runs[0]))
    kohya, back = tmp_path / "kohya.safetensors", tmp_path / "back.safetensors"
    more = ("--set", "license=CC0-1.0", "--set", "author=A. Person")
    assert call(monkeypatch, "convert", runs[0], "--to", "kohya", "--out", kohya, *more) == 0
    assert call(monkeypatch, "convert", kohya, "--to", "diffusers", "--out", back) == 0
    for file in (kohya, back):
        assert torch.equal(drawn(LoraUse(path=file)), wanted)
        told = read_header(file)[0]
        assert told["modelspec.title"] == "tiles 0"
        assert told["modelspec.license"] == "CC0-1.0"
        assert told["modelspec.author"] == "A. Person"
        assert told["ss_seed"] == "3"
    made = json.loads(read_header(back)[0]["dgx_pixels_made_from"])
    assert made["inputs"][0]["file"] == kohya.name
    first = kohya.read_bytes()
    call(monkeypatch, "convert", runs[0], "--to", "kohya", "--out", kohya, *more)
    assert kohya.read_bytes() == first


def test_merge_adds_and_keeps_every_licence(
    runs: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    both, cut = tmp_path / "both.safetensors", tmp_path / "cut.safetensors"
    specs = (f"{runs[0]}:0.7", f"{runs[1]}:-0.3")
    assert call(monkeypatch, "merge", *specs, "--out", both) == 0
    told = read_header(both)[0]
    licences = [data["licences"][0]["licence"] for data in json.loads(told["dgx_pixels_data"])]
    assert licences == ["CC0-1.0", "CC-BY-4.0"]
    assert told["modelspec.merged_from"] == "tiles 0, tiles 1"
    assert told["ss_network_dim"] == "Dynamic"
    assert not {"ss_seed", "ss_tag_frequency", "dgx_pixels_run"} & told.keys()
    weights = [one["weight"] for one in json.loads(told["dgx_pixels_made_from"])["inputs"]]
    assert weights == [0.7, -0.3]
    capsys.readouterr()
    assert call(monkeypatch, "merge", *specs, "--rank", 3, "--to", "kohya", "--out", cut) == 0
    assert "relative error" in capsys.readouterr().out
    tensors = load_file(cut)
    ranks = {len(value) for key, value in tensors.items() if key.endswith("lora_down.weight")}
    assert ranks == {3}
    assert read_header(cut)[0]["ss_network_dim"] == "3"
    # Half and half of one LoRA is that LoRA.
    halves = tmp_path / "halves.safetensors"
    assert call(monkeypatch, "merge", f"{runs[0]}:0.5", f"{runs[0]}:0.5", "--out", halves) == 0
    assert torch.allclose(drawn(LoraUse(path=halves)), drawn(LoraUse(path=runs[0])), atol=2e-5)


def test_resize_to_its_own_rank_changes_nothing_else_it_tells_the_error(
    runs: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    full, small = tmp_path / "full.safetensors", tmp_path / "small.safetensors"
    assert call(monkeypatch, "resize", runs[0], "--rank", 4, "--out", full) == 0
    assert torch.allclose(drawn(LoraUse(path=full)), drawn(LoraUse(path=runs[0])), atol=2e-5)
    assert call(monkeypatch, "resize", runs[0], "--keep", 0.5, "--out", small) == 0
    errors = [
        json.loads(read_header(file)[0]["dgx_pixels_made_from"])["relative_error"]
        for file in (full, small)
    ]
    assert errors[0] == 0
    assert 0 < errors[1] <= 0.5**0.5
    assert f"relative error {errors[1]:.3g}"[:18] in capsys.readouterr().out
    told = read_header(small)[0]
    assert told["modelspec.title"] == "small"
    assert told["dgx_pixels_run"] == "tiles/0"


def test_extract_finds_what_training_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model(NANO, device="cpu")
    model.pipeline.save_pretrained(tmp_path / "base")
    before = answer(model)
    with torch.no_grad():
        model.pipeline.unet.conv_in.weight += 0.05
    model.pipeline.save_pretrained(tmp_path / "run" / "model")
    out = tmp_path / "x.safetensors"
    paths = ("--base", tmp_path / "base", "--tuned", tmp_path / "run")
    assert call(monkeypatch, "extract", *paths, "--rank", 1, "--out", out) == 0
    assert torch.allclose(drawn(LoraUse(path=out)), answer(model), atol=1e-4)
    assert not torch.allclose(before, answer(model), atol=1e-2)
    assert json.loads(read_header(out)[0]["dgx_pixels_made_from"])["rank"] == 1


def test_info_says_what_is_there_and_whether_it_is_whole(
    runs: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole = runs[0] / "lora" / "pytorch_lora_weights_kohya.safetensors"
    changed = tmp_path / "changed.safetensors"
    tensors = load_file(whole)
    tensors["lora_unet_up_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q.alpha"] += 1
    save_file(tensors, changed, read_header(whole)[0])
    assert call(monkeypatch, "info", runs[0], whole, changed) == 0
    first, second, third = capsys.readouterr().out.split("metadata\n")[:3]
    assert "diffusers" in first
    assert "pixelnano" in first
    assert "hash as told" in first
    assert "kohya" in second
    assert "hash as told" in second
    assert "NOT AS TOLD" in third


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["info", "absent"], ["absent"]),
        (["merge", "RUN:x", "--out", "o.safetensors"], ["'x'", "FILE:0.7"]),
        (["merge", "RUN:nan", "--out", "o.safetensors"], ["'nan'"]),
        (["merge", "RUN", "--out", "lora.txt/o.safetensors"], ["--out", "lora.txt"]),
        (["merge", "RUN", "absent:1", "--out", "o.safetensors"], ["absent"]),
        (["convert", "RUN", "--to", "kohya", "--out", "o.safetensors", "--set", "ss_seed=1"],
         ["ss_seed", "license"]),
        (["convert", "DORA", "--to", "kohya", "--out", "o.safetensors"], ["DoRA", "diffusers"]),
        (["resize", "DORA", "--rank", "1", "--out", "o.safetensors"], ["DoRA"]),
        (["extract", "--base", "absent", "--tuned", "RUN", "--rank", "2", "--out",
          "o.safetensors"], ["--base", "absent"]),
        (["convert", "SELF", "--to", "kohya", "--out", "SELF"], ["--out"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line(
    runs: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    cfg = LoraConfig(rank=2, dora=True)
    dora = save_lora(trained(cfg), cfg, tmp_path)["diffusers"]
    (tmp_path / "lora.txt").touch()
    places = {"RUN": runs[0], "DORA": dora, "SELF": dora}
    told = [str(places.get(a, a)).replace("RUN:", f"{runs[0]}:") for a in arguments]
    assert call(monkeypatch, *told) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert all(word in error for word in words), error
    assert not (tmp_path / "o.safetensors").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["resize", "RUN", "--rank", "0", "--out", "o.safetensors"],
        ["resize", "RUN", "--keep", "1.5", "--out", "o.safetensors"],
        ["resize", "RUN", "--out", "o.safetensors"],
        ["convert", "RUN", "--to", "kohya", "--out", "o.bin"],
        ["convert", "RUN", "--to", "a1111", "--out", "o.safetensors"],
        [],
    ],
)
def test_wrong_arguments_end_before_anything_is_read(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit) as ended:
        call(monkeypatch, *arguments)
    assert ended.value.code == 2
