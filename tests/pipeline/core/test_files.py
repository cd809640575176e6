from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import InputError
from pipeline.core.files import (
    read_json,
    sha256_bytes,
    sha256_file,
    whole_folder,
    write_atomic,
    write_json,
)
from pipeline.core.manifest import ManifestWriter, read_manifest


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a"
    write_atomic(file, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomic(file, b"new")
    assert file.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_folder_is_whole_or_as_it_was(tmp_path: Path) -> None:
    def fill(text: str, *, fails: bool) -> None:
        with whole_folder(tmp_path / "above" / "it") as folder:
            (folder / text).write_text(text)
            assert not (tmp_path / "above" / "it" / text).exists()
            if fails:
                raise OSError(28, "No space left on device")

    def names() -> list[str]:
        return sorted(str(p.relative_to(tmp_path / "above")) for p in tmp_path.rglob("above/**/*"))

    with pytest.raises(OSError, match="No space"):
        fill("none", fails=True)
    assert names() == []
    fill("old", fails=False)
    with pytest.raises(OSError, match="No space"):
        fill("half", fails=True)
    assert names() == ["it", "it/old"]
    fill("new", fails=False)
    assert names() == ["it", "it/new"]


def test_digest_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a", b"abc")
    assert sha256_file(tmp_path / "a") == sha256_bytes(b"abc")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[1]", "\xff",
     pytest.param('{"a":' * 100_000, id="deep"), pytest.param(f'{{"a": {"1" * 5000}}}', id="long")],
)  # fmt: skip
def test_bad_json_names_its_file(tmp_path: Path, text: str) -> None:
    file = tmp_path / "bad.json"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"bad\.json"):
        read_json(file)


def test_json_comes_back(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"a": [1, None]})
    assert read_json(tmp_path / "a.json") == {"a": [1, None]}


@given(st.integers(0, 60))
def test_a_manifest_torn_anywhere_keeps_its_whole_lines(cut: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "m.jsonl"
        writer = ManifestWriter(path)
        for index in range(4):
            writer.append({"index": index})
        writer.close()
        data = path.read_bytes()
        path.write_bytes(data[: max(0, len(data) - cut)])
        whole = path.read_bytes().count(b"\n")
        assert [r["index"] for r in read_manifest(path)] == list(range(whole))
        again = ManifestWriter(path)
        again.append({"index": 99})
        again.close()
        assert [r["index"] for r in read_manifest(path)] == [*range(whole), 99]


def test_a_bad_line_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text('{"index": 0}\nnonsense\n{"index": 1}\n')
    with pytest.raises(InputError, match=":2:"):
        read_manifest(path)
