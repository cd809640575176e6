"""A model folder is what its list says, or the job does not start."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.core.errors import InputError
from pipeline.models import adapters
from pipeline.models.conf import FamilyName, LoraUse, ModelConfig
from pipeline.models.pixelnano import ASSETS
from pipeline.models.registry import load_model
from pipeline.models.sums import NAME, check_sums, write_sums


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "unet").mkdir(parents=True)
    (folder / "model_index.json").write_text("{}")
    (folder / "unet" / "a b.safetensors").write_bytes(b"weights")
    write_sums(folder)
    return folder


def test_a_whole_folder_passes_and_other_tools_agree(model: Path) -> None:
    assert check_sums(model)
    (model / ".cache").mkdir()
    (model / ".cache" / "etag").write_text("left by a download")
    before = (model / NAME).read_bytes()
    assert check_sums(model)
    assert write_sums(model).read_bytes() == before
    subprocess.run(["sha256sum", "--check", "--strict", NAME], cwd=model, check=True)


def test_a_list_made_by_hand_is_read(model: Path) -> None:
    command = f"find . -type f ! -name {NAME} -exec sha256sum --binary {{}} + > {NAME}"
    subprocess.run(["sh", "-c", command], cwd=model, check=True)
    assert " *./" in (model / NAME).read_text()
    assert check_sums(model)


def test_no_list_is_not_a_check(tmp_path: Path) -> None:
    assert not check_sums(tmp_path)


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda m: (m / "unet" / "a b.safetensors").write_bytes(b"weightz"), "a b.safetensors"),
        (lambda m: (m / "unet" / "a b.safetensors").unlink(), "a b.safetensors"),
        (lambda m: (m / "unet" / "a.fp16.safetensors").write_bytes(b"x"), "a.fp16.safetensors"),
        (lambda m: (m / "model_index.json").write_text("[]"), "model_index.json"),
        (lambda m: (m / NAME).write_text("half a li"), "line 1"),
        (lambda m: (m / NAME).write_bytes(b"\xff\xfe"), NAME),
        (lambda m: (m / NAME).write_text(""), "model_index.json"),
    ],
)
def test_what_differs_is_named_in_one_line(
    model: Path, damage: Callable[[Path], object], named: str
) -> None:
    damage(model)
    with pytest.raises(InputError) as error:
        check_sums(model)
    assert named in str(error.value)
    assert str(model) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("suffix", [".bin", ".ckpt", ".pt", ".pkl"])
def test_a_pickle_is_not_listed(model: Path, suffix: str) -> None:
    (model / f"weights{suffix}").write_bytes(b"\x80\x04.")
    with pytest.raises(InputError, match=f"weights{suffix}"):
        write_sums(model)
    with pytest.raises(InputError, match="empty|nothing"):
        write_sums(model / "absent")


def test_the_shipped_model_is_listed() -> None:
    assert check_sums(ASSETS)


def test_a_job_does_not_begin_with_a_changed_model(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(ASSETS, copy)
    cfg = ModelConfig(family=FamilyName.pixelnano, path=copy)
    load_model(cfg, device="cpu")
    # Not a weight: nothing but the list would see that prompts now mean something else.
    tokenizer = copy / "tokenizer" / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text().replace("red", "blue", 1))
    with pytest.raises(InputError, match=r"tokenizer\.json"):
        load_model(cfg, device="cpu")


def test_a_listed_adapter_is_checked(tmp_path: Path) -> None:
    file = tmp_path / "orc.safetensors"
    file.write_bytes(b"weights")
    write_sums(tmp_path)
    file.write_bytes(b"others")
    model = load_model(ModelConfig(family=FamilyName.pixelnano, path=ASSETS), device="cpu")
    with pytest.raises(InputError, match=NAME):
        adapters.apply(model, [LoraUse(path=file)])
