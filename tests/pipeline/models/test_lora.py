from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from pipeline.core.errors import InputError
from pipeline.models import lora
from pipeline.models.conf import LoraConfig, LoraUse, Targets
from pipeline.models.lora_files import save_lora
from pipeline.models.registry import load_model
from tests.fakes.adapters import NANO, answer, trained

CASES = [
    LoraConfig(rank=4, alpha=4.0),
    LoraConfig(rank=4, alpha=9.0, targets=Targets.linear, rslora=True),
    LoraConfig(rank=2, alpha=1.0, targets=Targets.all, text_encoder=True),
]


@pytest.mark.parametrize("cfg", CASES, ids=["plain", "rslora", "all"])
@pytest.mark.parametrize("kind", ["diffusers", "kohya"])
def test_a_saved_adapter_loads_back_exactly(tmp_path: Path, cfg: LoraConfig, kind: str) -> None:
    model = trained(cfg)
    file = save_lora(model, cfg, tmp_path, metadata={"ss_seed": "7"})[kind]
    fresh = load_model(NANO, device="cpu")
    base = answer(fresh)
    lora.apply(fresh, [LoraUse(path=file)])
    assert torch.equal(answer(fresh), answer(model))
    assert not torch.allclose(answer(fresh), base, atol=1e-3)
    fresh.pipeline.set_adapters(["lora0"], [0.0])
    assert torch.equal(answer(fresh), base)
    with safe_open(file, framework="pt") as opened:
        metadata = opened.metadata()
    assert metadata["ss_network_dim"] == str(cfg.rank)
    assert metadata["ss_seed"] == "7"


def test_dora_loads_back_exactly_in_the_one_form_it_is_written(tmp_path: Path) -> None:
    cfg = LoraConfig(rank=2, dora=True)
    model = trained(cfg)
    files = save_lora(model, cfg, tmp_path)
    assert list(files) == ["diffusers"]
    assert [p.name for p in tmp_path.iterdir()] == [files["diffusers"].name]
    fresh = load_model(NANO, device="cpu")
    lora.apply(fresh, [LoraUse(path=tmp_path)])
    assert torch.equal(answer(fresh), answer(model))
    with pytest.raises(ValueError, match="lora.dora"):
        LoraConfig(dora=True, text_encoder=True)


def test_a_fresh_adapter_changes_nothing_and_is_deterministic() -> None:
    base = answer(load_model(NANO, device="cpu"))
    state = torch.random.get_rng_state()
    models = []
    for _ in range(2):
        model = load_model(NANO, device="cpu")
        lora.attach(model, LoraConfig(rank=4), seed=5)
        models.append(model)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(answer(models[0]), base)
    left, right = (lora.trainable(m) for m in models)
    assert list(left) == sorted(left) == list(right)
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_only_the_adapter_is_trained() -> None:
    model = trained(LoraConfig(rank=4))
    assert all("lora_" in name for name in lora.trainable(model))
    assert all(name.startswith("unet.") for name in lora.trainable(model))


def test_weights_given_are_written_in_place_of_the_live_ones(tmp_path: Path) -> None:
    cfg = LoraConfig(rank=4)
    model = trained(cfg)
    averages = {name: torch.zeros_like(p) for name, p in lora.trainable(model).items()}
    save_lora(model, cfg, tmp_path, weights=averages)
    fresh = load_model(NANO, device="cpu")
    base = answer(fresh)
    lora.apply(fresh, [LoraUse(path=tmp_path)])
    assert torch.equal(answer(fresh), base)


def test_the_same_adapter_gives_the_same_file(tmp_path: Path) -> None:
    cfg = LoraConfig(rank=4)
    for name in ("a", "b"):
        save_lora(trained(cfg), cfg, tmp_path / name)
    for kind in ("pytorch_lora_weights", "pytorch_lora_weights_kohya"):
        file = f"{kind}.safetensors"
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_bad_adapters_are_named(tmp_path: Path) -> None:
    model = load_model(NANO, device="cpu")
    cut = tmp_path / "cut.safetensors"
    file = save_lora(trained(LoraConfig(rank=2)), LoraConfig(rank=2), tmp_path / "ok")["diffusers"]
    cut.write_bytes(file.read_bytes()[:100])
    pickle = tmp_path / "lora.bin"
    pickle.write_bytes(b"\x80\x04.")
    for path, word in ((tmp_path / "absent", "neither"), (cut, "not a whole"), (pickle, "pickles")):
        with pytest.raises(InputError, match=word) as refused:
            lora.apply(model, [LoraUse(path=path)])
        assert str(path) in str(refused.value)


def test_an_adapter_of_another_base_is_applied_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cfg = LoraConfig(rank=2)
    file = save_lora(trained(cfg), cfg, tmp_path)["diffusers"]
    lora.apply(load_model(NANO, device="cpu"), [LoraUse(path=file)])
    assert "another base" not in caplog.text
    other = replace(load_model(NANO, device="cpu"), digest="0" * 64)
    lora.apply(other, [LoraUse(path=file)])
    assert "another base model" in caplog.text
