import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.checkpoint import Checkpoints
from pipeline.core.errors import InputError

IDENTITY = {"seed": "0", "lora.rank": "4"}
ROOT = Path(__file__).parents[3]

SAVER = """
import sys, torch
from pathlib import Path
from pipeline.core.checkpoint import Checkpoints
checkpoints = Checkpoints(Path(sys.argv[1]), keep=2, identity={"seed": "0", "lora.rank": "4"})
print("ready", flush=True)
for n in range(int(sys.argv[2]), 10_000):
    checkpoints.save(n, {"weights": {"w": torch.full((300_000,), float(n))}}, {"n": n})
"""


def make(folder: Path, *, keep: int = 3) -> Checkpoints:
    return Checkpoints(folder, keep=keep, identity=IDENTITY)


def save(checkpoints: Checkpoints, n: int) -> Path:
    return checkpoints.save(n, {"weights": {"w": torch.full((8,), float(n))}}, {"n": n})


def test_what_is_saved_is_read_back(tmp_path: Path) -> None:
    checkpoints = make(tmp_path)
    tensors = {"weights": {"a": torch.randn(3, 4)}, "optimizer": {"step.a": torch.tensor(7.0)}}
    checkpoints.save(64, tensors, {"world_size": 2})
    found = checkpoints.latest()
    assert found is not None
    assert found.num_images == 64
    assert found.state == {"world_size": 2}
    assert torch.equal(found.tensors["weights"]["a"], tensors["weights"]["a"])
    assert torch.equal(found.tensors["optimizer"]["step.a"], torch.tensor(7.0))


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert make(tmp_path / "none").latest() is None


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    checkpoints = make(tmp_path, keep=2)
    for n in (1, 2, 3, 4):
        save(checkpoints, n)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["000000000003", "000000000004"]


def test_saving_a_position_again_replaces_it(tmp_path: Path) -> None:
    checkpoints = make(tmp_path)
    save(checkpoints, 5)
    checkpoints.save(5, {"weights": {"w": torch.zeros(2)}}, {"n": "again"})
    found = checkpoints.latest()
    assert found is not None
    assert found.state == {"n": "again"}


@pytest.mark.parametrize("name", ["weights.safetensors", "state.json", "manifest.json"])
@pytest.mark.parametrize("how", ["removed", "emptied", "cut", "flipped"])
def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path, name: str, how: str) -> None:
    checkpoints = make(tmp_path)
    save(checkpoints, 1)
    file = save(checkpoints, 2) / name
    data = file.read_bytes()
    match how:
        case "removed":
            file.unlink()
        case "emptied":
            file.write_bytes(b"")
        case "cut":
            file.write_bytes(data[: len(data) // 2])
        case "flipped":
            file.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    found = checkpoints.latest()
    assert found is not None
    assert found.num_images == 1


@pytest.mark.parametrize("key", ["seed", "lora.rank"])
def test_another_identity_is_refused_by_name(tmp_path: Path, key: str) -> None:
    save(make(tmp_path), 1)
    other = Checkpoints(tmp_path, keep=3, identity=IDENTITY | {key: "other"})
    with pytest.raises(InputError, match=key) as refused:
        other.latest()
    assert "other" in str(refused.value)


def test_a_save_killed_anywhere_leaves_a_valid_checkpoint(tmp_path: Path) -> None:
    newest = 0
    for turn in range(12):
        child = subprocess.Popen(
            [sys.executable, "-c", SAVER, str(tmp_path), str(newest + 1)],
            cwd=ROOT, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(0.02 + 0.011 * turn)
        child.send_signal(signal.SIGKILL)
        child.communicate()
        found = make(tmp_path).latest()
        if found is None:
            assert newest == 0, "what was saved is lost"
            continue
        assert found.num_images >= newest, "what was saved is lost"
        assert torch.equal(
            found.tensors["weights"]["w"], torch.full((300_000,), float(found.num_images))
        )
        newest = found.num_images
    assert newest > 12
    save(make(tmp_path), newest + 1)
    assert not [p for p in tmp_path.iterdir() if not p.name.isdigit()], "leftovers stay"


@pytest.mark.parametrize("keep", [1, 2])
def test_broken_ones_that_were_passed_over_do_not_push_out_what_is_saved_next(
    tmp_path: Path, keep: int
) -> None:
    checkpoints = make(tmp_path, keep=3)
    for n in (1, 5, 6):
        save(checkpoints, n)
    for n in (5, 6):
        (tmp_path / f"{n:012d}" / "manifest.json").write_text("{}")
    checkpoints = make(tmp_path, keep=keep)
    save(checkpoints, 2)
    found = checkpoints.latest()
    assert found is not None
    assert found.num_images == 2


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("not a folder")
    with pytest.raises(InputError, match="could not save"):
        save(make(file), 1)


def test_a_full_disk_leaves_the_older_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = make(tmp_path)
    save(checkpoints, 1)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pipeline.core.checkpoint.write_json", full)
    with pytest.raises(InputError, match="No space left"):
        save(checkpoints, 2)
    monkeypatch.undo()
    assert [p.name for p in tmp_path.iterdir()] == ["000000000001"]
    found = checkpoints.latest()
    assert found is not None
    assert found.num_images == 1


@settings(deadline=None)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=5, unique=True))
def test_the_newest_valid_one_is_found_whatever_is_broken(broken: list[int]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkpoints = make(folder, keep=6)
        for n in range(1, 7):
            save(checkpoints, n)
        for n in broken:
            (folder / f"{n:012d}" / "manifest.json").write_text(json.dumps({"format": "?"}))
        whole = sorted(set(range(1, 7)) - set(broken))
        found = checkpoints.latest()
        assert found is not None
        assert found.num_images == whole[-1]
