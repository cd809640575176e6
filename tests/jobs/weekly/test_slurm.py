from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.records.week import Week
from jobs.weekly import slurm
from jobs.weekly.slurm import ask_sacct, ended, parse_sacct, quantiles, sum_slurm

FIXTURES = Path(__file__).parents[1] / "fixtures" / "sacct"
FIXTURE = FIXTURES / "week.txt"
W48 = Week.parse("2026-W48")
JOBS = parse_sacct(FIXTURE.read_text())


def test_every_attempt_counts_as_far_as_it_lies_in_the_week() -> None:
    now, then = sum_slurm(JOBS.jobs, W48), sum_slurm(JOBS.jobs, W48.before())
    assert (now.gpu_hours, then.gpu_hours) == (8 + 8 + 4 + 16 + 0.5, 8)
    assert now.lost_gpu_hours == 8 + 4 + 0.5
    assert (now.num_jobs, now.num_attempts) == (4, 6)
    assert (then.num_jobs, then.num_attempts) == (1, 1)


def test_a_real_cluster_is_read_whole() -> None:
    accounting = parse_sacct((FIXTURES / "recorded.txt").read_text())
    sums = sum_slurm(accounting.jobs, W48)
    assert accounting.num_unread == 0
    # 8 GPUs for 6 s; 4 for the 2 s before the requeue and the 8 s after it.
    assert sums.gpu_hours * 3600 == pytest.approx(8 * 6 + 4 * (2 + 8))
    assert sums.lost_gpu_hours * 3600 == pytest.approx(4 * 2)
    assert (sums.num_jobs, sums.num_attempts) == (5, 6)
    assert len(sums.waits_min["batch"]) == 5
    assert dict(ended(accounting.jobs))["5"] == "CANCELLED"


def test_waits_are_of_attempts_that_began_in_the_week() -> None:
    now = sum_slurm(JOBS.jobs, W48)
    assert now.waits_min == {"batch": [10.0, 3.0, 3.0, 1.0], "urgent": [0.0]}
    assert sum_slurm(JOBS.jobs, W48.before()).waits_min == {"batch": [60.0]}
    assert quantiles([0.0, 1.0, 10.0])[0] == 1.0
    assert quantiles([2.0]) == (2.0, 2.0, 2.0)


def test_the_last_attempt_says_whether_a_job_is_over() -> None:
    states = dict(ended(JOBS.jobs))
    assert states["101"] == "COMPLETED"
    assert states["102_3"] == states["105"] == "FAILED"
    assert states["106"] == "CANCELLED"
    assert "107" not in states


def test_a_job_that_waits_to_be_run_again_is_not_over() -> None:
    rows = "9|9|batch|NODE_FAIL|1|2|3|gres/gpu=8\n9|9|batch|PENDING|5|Unknown|0|\n"
    assert dict(ended(parse_sacct(rows).jobs)) == {}


@given(st.text())
def test_lines_of_another_shape_are_counted_and_left_out(text: str) -> None:
    accounting = parse_sacct(f"{text}\n{FIXTURE.read_text()}")
    assert len(accounting.jobs) >= len(JOBS.jobs)


@pytest.mark.parametrize(
    "line",
    [
        "1|2|3", "1|1|batch|COMPLETED|x|y|z|", "1|1|batch|RUNNING|1|1|1|gres/gpu=many",
        "1|1|batch|RUNNING|1|1|nan|gres/gpu=1", "1|1|batch|RUNNING|1|inf|1|gres/gpu=1",
        "1|1|batch|RUNNING|1|1|-5|gres/gpu=1", "1|1|batch|RUNNING|1|1|1|gres/gpu=-8",
        "1|1|batch|RUNNING|1|1|1|gres/gpu:b200=1e400",
    ],
)  # fmt: skip
def test_a_line_that_is_not_as_documented_is_counted(line: str) -> None:
    accounting = parse_sacct(f"{line}\n\n")
    assert (accounting.jobs, accounting.num_unread) == ([], 1)


def fake(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = folder / "sacct"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_sacct_is_asked_for_duplicates_in_seconds_of_the_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = tmp_path / "asked"
    fake(tmp_path, f'echo "$SLURM_TIME_FORMAT $*" > {said}; cat {FIXTURE}', monkeypatch)
    accounting = ask_sacct(W48)
    assert accounting == JOBS
    asked = said.read_text()
    assert asked.startswith("%s ")
    for option in ("--duplicates", "--allocations", "--parsable2", "--starttime=2026-11-15"):
        assert option in asked


def test_a_sacct_that_refuses_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path, "echo 'Slurm accounting storage is disabled' >&2; exit 1", monkeypatch)
    accounting = ask_sacct(W48)
    assert "accounting storage is disabled" in (accounting.silence or "")
    assert not accounting.jobs


def test_no_sacct_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "env").symlink_to("/usr/bin/env")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "no sacct" in (ask_sacct(W48).silence or "")


def test_bytes_that_are_no_text_are_lines_not_as_documented(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(tmp_path, r"printf '\377\376 nonsense\n\000|\n'", monkeypatch)
    accounting = ask_sacct(W48)
    assert (accounting.jobs, accounting.silence, accounting.num_unread) == ([], None, 2)


def test_a_sacct_that_hangs_is_left_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(tmp_path, "exec sleep 60", monkeypatch)
    monkeypatch.setattr(slurm, "TIMEOUT_S", 0.2)
    assert "0.2 s" in (ask_sacct(W48).silence or "")
