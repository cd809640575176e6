import hashlib
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load, save

from pipeline.core.errors import InputError
from pipeline.models.lora_header import (
    RUN_KEY,
    made_sha256,
    read_header,
    tensors_sha256,
    with_metadata,
)

TENSORS = {"b": torch.randn(3), "a": torch.arange(5)}


def write(path: Path, metadata: dict[str, str], **tensors: torch.Tensor) -> Path:
    path.write_bytes(with_metadata(save(TENSORS | tensors), metadata))
    return path


def test_the_hash_is_that_of_the_bytes_behind_the_header(tmp_path: Path) -> None:
    file = write(tmp_path / "x.safetensors", {"z": "1", "a": "2"})
    data = file.read_bytes()
    length = int.from_bytes(data[:8], "little")
    digest = hashlib.sha256(data[8 + length :]).hexdigest()
    assert length % 8 == 0
    with safe_open(file, framework="pt") as opened:
        told = opened.metadata()
    assert told == {
        "a": "2", "z": "1", "modelspec.hash_sha256": f"0x{digest}", "sshs_model_hash": digest,
    }  # fmt: skip
    assert tensors_sha256(file) == digest
    metadata, tensors, start = read_header(file)
    assert metadata == told
    assert tensors.keys() == TENSORS.keys()
    assert start == 8 + length
    assert all(torch.equal(load(data)[name], TENSORS[name]) for name in TENSORS)


def test_the_order_of_metadata_does_not_change_the_bytes(tmp_path: Path) -> None:
    one = write(tmp_path / "1.safetensors", {"a": "1", "b": "2"})
    two = write(tmp_path / "2.safetensors", {"b": "2", "a": "1"})
    assert one.read_bytes() == two.read_bytes()


def test_what_was_made_is_the_same_whoever_made_it(tmp_path: Path) -> None:
    file = write(tmp_path / "1.safetensors", {RUN_KEY: "tiles/a", "ss_seed": "0"})
    same = write(tmp_path / "2.safetensors", {RUN_KEY: "tiles/b", "ss_seed": "0"})
    seed = write(tmp_path / "3.safetensors", {RUN_KEY: "tiles/a", "ss_seed": "1"})
    value = write(tmp_path / "4.safetensors", {"ss_seed": "0"}, b=torch.zeros(3))
    assert file.read_bytes() != same.read_bytes()
    assert made_sha256(file) == made_sha256(same)
    assert len({made_sha256(f) for f in (file, seed, value)}) == 3


@pytest.mark.parametrize(
    "data", [b"", b"\x00" * 8, b"\x09\x00\x00\x00\x00\x00\x00\x00{", b"\xff" * 40]
)
def test_a_broken_header_is_one_line(data: bytes, tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    file.write_bytes(data)
    with pytest.raises(InputError, match="not a whole safetensors file"):
        read_header(file)
    assert made_sha256(file) == hashlib.sha256(data).hexdigest()
    with pytest.raises(InputError, match="no such file"):
        read_header(tmp_path / "absent")
