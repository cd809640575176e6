from pathlib import Path

import pytest

from eval.metric import UnavailableError
from eval.weights import Pinned, find
from pipeline.core.files import sha256_bytes

FILES = [Pinned(name=name, sha256=sha256_bytes(name.encode())) for name in ("a.bin", "b.bin")]


def laid(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(name.encode())
    return folder


def test_the_first_folder_that_has_all_of_them_is_taken(tmp_path: Path) -> None:
    half, whole, other = (
        laid(tmp_path / "half", "a.bin"),
        laid(tmp_path / "whole", "a.bin", "b.bin"),
        laid(tmp_path / "other", "a.bin", "b.bin"),
    )
    found = find("m", FILES, [None, half, whole, other], how="get it")
    assert found == [whole / "a.bin", whole / "b.bin"]


def test_what_is_not_there_is_named_with_how_to_get_it(tmp_path: Path) -> None:
    half = laid(tmp_path / "half", "a.bin")
    with pytest.raises(UnavailableError) as error:
        find("m", FILES, [half, tmp_path / "none"], how="get it")
    assert all(word in str(error.value) for word in ("m", "b.bin", str(half), "none", "get it"))
    with pytest.raises(UnavailableError, match="get it"):
        find("m", FILES, [None], how="get it")


def test_other_bytes_are_not_taken_for_the_weights(tmp_path: Path) -> None:
    folder = laid(tmp_path / "folder", "a.bin", "b.bin")
    (folder / "b.bin").write_bytes(b"cut sh")
    with pytest.raises(UnavailableError) as error:
        find("m", FILES, [folder, laid(tmp_path / "good", "a.bin", "b.bin")], how="get it")
    assert str(folder / "b.bin") in str(error.value)
    assert FILES[1].sha256 in str(error.value)
