"""Folders of runs, with some in them that cannot be read."""

from pathlib import Path

import pytest

from jobs.records.find import find_runs, read_runs
from pipeline.core.errors import InputError
from tests.fakes.records import attempt, write_run

BROKEN = [
    "", "{", "[]", "null", "{}", '{"format": "x"}', "\x00", '{"a":' * 100_000,
    '{"format": "dgx-pixels-run/1"}',
    '{"format": "dgx-pixels-run/1", "status": "odd", "attempts": [], "figures": {}}',
    '{"format": "dgx-pixels-run/1", "status": "finished", "attempts": [], "figures": {}}',
    '{"format": "dgx-pixels-run/1", "status": "finished", "attempts": [3], "figures": {}}',
    '{"format": "dgx-pixels-run/1", "status": ["finished"], "attempts": [{}], "figures": 1}',
]  # fmt: skip


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_record_is_told_and_leaves_the_others(tmp_path: Path, text: str) -> None:
    write_run(tmp_path, "train/a/whole")
    broken = write_run(tmp_path, "train/a/broken") / "run.json"
    broken.write_text(text)
    found = find_runs(tmp_path)
    assert [run.path.name for run in found.runs] == ["whole"]
    assert [path for path, _ in found.problems] == [broken]
    assert all(said and "\n" not in said for _, said in found.problems)


@pytest.mark.parametrize(
    "changes",
    [
        {"started": None}, {"started": "yesterday"}, {"started": 3}, {"num_gpus": "many"},
        {"num_gpus": 10**400}, {"num_gpus": -1}, {"num_gpus": float("inf")},
        {"telemetry": [1]}, {"telemetry": {"xids": ["x"]}}, {"telemetry": {"throttled_s": 3}},
    ],
)  # fmt: skip
def test_an_attempt_of_another_shape_breaks_its_own_run_alone(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    write_run(tmp_path, "train/a/1", attempt() | changes)
    found = find_runs(tmp_path)
    assert not found.runs
    assert len(found.problems) == 1


def test_a_link_to_itself_is_told_and_its_neighbours_are_read(tmp_path: Path) -> None:
    write_run(tmp_path, "train/a/1")
    (tmp_path / "train" / "a" / "loop").symlink_to("loop")
    found = find_runs(tmp_path)
    assert [run.path.name for run in found.runs] == ["1"]
    assert [path.name for path, _ in found.problems] == ["loop"]


def test_a_folder_without_a_record_has_not_begun(tmp_path: Path) -> None:
    (tmp_path / "train/a/1").mkdir(parents=True)
    (tmp_path / "train/a/1/config.yaml").write_text("")
    (tmp_path / "train/a/odd").mkdir()
    assert find_runs(tmp_path).waiting == [tmp_path / "train/a/1"]


def test_both_readers_say_the_same_of_a_folder(tmp_path: Path) -> None:
    later = attempt("2026-11-25T09:00:00+00:00")
    write_run(tmp_path, "train/a/late", later)
    write_run(tmp_path, "train/b/early")
    half = write_run(tmp_path, "train/a/half") / "run.json"
    half.write_text('{"format": "dgx-pix')
    found = find_runs(tmp_path)
    runs, broken = read_runs([tmp_path])
    assert [run.name for run in runs] == ["train/b/early", "train/a/late"]
    assert {run.name for run in found.runs} == {run.name for run in runs}
    assert broken == [f"{path}: {said}" for path, said in found.problems]
    assert str(half) in broken[0]


def test_a_run_folder_is_a_root_and_none_is_read_twice(tmp_path: Path) -> None:
    run = write_run(tmp_path, "train/a/1")
    assert len(read_runs([run, tmp_path, tmp_path])[0]) == 1


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run in it"):
        read_runs([tmp_path])
    with pytest.raises(InputError, match="nowhere"):
        find_runs(tmp_path / "nowhere")


def test_runs_in_the_frozen_code_of_a_run_are_not_runs(tmp_path: Path) -> None:
    run = write_run(tmp_path, "train/a/1")
    write_run(run / "code" / "tests", "train/b/2")
    assert [each.path for each in find_runs(tmp_path).runs] == [run]
