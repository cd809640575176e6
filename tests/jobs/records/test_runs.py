import json
from pathlib import Path

import pytest

from jobs.records.runs import read_run
from pipeline.core.errors import InputError
from tests.fakes.records import attempt, metered, write_run


def test_times_and_gpu_hours_are_of_all_attempts(tmp_path: Path) -> None:
    first = attempt("2026-11-24T22:00:00+00:00", reason="stopped")
    run = read_run(write_run(tmp_path, "train/a/1", first, attempt(elapsed_s=1800.0)))
    assert (run.started, run.latest.hour) == ("2026-11-24T22:00:00+00:00", 2)
    assert (run.elapsed_s, run.hours, run.reason) == (5400.0, 1.5, "")
    assert [each.gpu_hours for each in run.attempts] == [2.0, 1.0]


def test_a_killed_attempt_has_the_time_that_was_sampled(tmp_path: Path) -> None:
    killed = attempt(ended=None, elapsed_s=None, telemetry=metered(sampled_s=900.0))
    run = read_run(write_run(tmp_path, "train/a/1", killed))
    assert run.attempts[0].ended is None
    assert run.elapsed_s == 900.0


def test_a_killed_attempt_that_nothing_sampled_has_no_time(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path, "train/a/1", attempt(ended=None, elapsed_s=None)))
    assert (run.elapsed_s, run.hours, run.attempts[0].gpu_hours) == (0.0, None, None)


def test_the_commit_is_read_where_it_is_whole(tmp_path: Path) -> None:
    folder = write_run(tmp_path, "train/a/1")
    assert read_run(folder).commit == ""
    (folder / "code.json").write_text(json.dumps({"commit": "abc"}))
    assert read_run(folder).commit == "abc"
    (folder / "code.json").write_text('{"comm')
    assert read_run(folder).commit == ""


def test_a_file_beside_it_is_told_in_its_format_alone(tmp_path: Path) -> None:
    folder = write_run(tmp_path, "bench/a/1")
    run = read_run(folder)
    assert run.told("bench.json") is None
    (folder / "bench.json").write_text('{"format": "dgx-pixels-bench/1", "bench": "x"}')
    assert run.told("bench.json") == {"format": "dgx-pixels-bench/1", "bench": "x"}
    (folder / "bench.json").write_text('{"format": "dgx-pixels-bench/9"}')
    with pytest.raises(InputError, match=r"bench\.json.*dgx-pixels-bench/9"):
        run.told("bench.json")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"job": 3}, "job"), ({"status": "odd"}, "odd"), ({"figures": []}, "figures"),
        ({"attempts": []}, "attempts"), ({"attempts": [3]}, "attempts"),
        ({"attempts": [{"started": "soon"}]}, "soon"), ({"attempts": [{}]}, "started"),
        ({"telemetry": [1]}, "telemetry"), ({"telemetry": {"prices": 1}}, "prices"),
    ],
)  # fmt: skip
def test_a_record_of_another_shape_names_file_and_key(
    tmp_path: Path, changes: dict[str, object], named: str
) -> None:
    path = write_run(tmp_path, "train/a/1") / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(InputError, match=rf"run\.json: .*{named}") as told:
        read_run(path.parent)
    assert "\n" not in str(told.value)
