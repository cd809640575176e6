"""What a job shows Prometheus while it runs and when it is over."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bench.nccl.sweep import Figures, Sweep, SweepRow
from jobs.runtime import textfile
from jobs.runtime.conf import TrackerConfig
from jobs.runtime.nccl_run import best_bandwidths
from jobs.runtime.textfile import KEEP_S, TextfileTracker, write_nccl
from jobs.runtime.trackers import build_trackers
from pipeline.core.rundir import RunDir

ROOT = Path(__file__).parents[2]
QUIET = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}


def figures(path: Path) -> dict[str, float]:
    """Read a file as Prometheus' own client does; every series is this run's."""
    samples = [
        s for family in text_string_to_metric_families(path.read_text()) for s in family.samples
    ]
    return {s.name + (f"<{s.labels['le']}" if "le" in s.labels else ""): s.value for s in samples}


@pytest.fixture
def tracker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TextfileTracker:
    monkeypatch.setattr(textfile, "EVERY_S", 0.0)
    return TextfileTracker(tmp_path, RunDir(Path("/r/train/tiles32/a")), num_restarts=2)


def test_a_row_is_shown_and_what_was_made_before_is_not_counted(tracker: TextfileTracker) -> None:
    tracker.rewind(100)
    tracker.log(140, {"train/loss": 0.5, "speed/img_per_s": 8.0, "train/lr": 1e-4})
    tracker.observe("checkpoint_time_s", 0.2)
    tracker.observe("image_time_s", 0.3, count=7)
    tracker.log(160, {"validation/loss": 0.4})
    found = figures(tracker.path)
    assert found["dgx_pixels_images_total"] == 60
    assert found["dgx_pixels_loss"] == 0.5
    assert found["dgx_pixels_validation_loss"] == 0.4
    assert found["dgx_pixels_images_per_second"] == 8.0
    assert found["dgx_pixels_checkpoints_total"] == 1
    assert found["dgx_pixels_restarts_total"] == 2
    assert found["dgx_pixels_image_seconds_bucket<0.25"] == 0
    assert found["dgx_pixels_image_seconds_bucket<0.5"] == 7
    assert (found["dgx_pixels_running"], found["dgx_pixels_failed"]) == (1, 0)
    assert abs(found["dgx_pixels_progress_timestamp_seconds"] - time.time()) < 60
    assert not any(name.endswith("_created") for name in found)


@pytest.mark.parametrize("succeeded", [True, False])
def test_the_end_is_told(tracker: TextfileTracker, succeeded: bool) -> None:
    tracker.log(5, {"speed/img_per_s": 3.0})
    tracker.finish([], figures={}, succeeded=succeeded)
    found = figures(tracker.path)
    assert found["dgx_pixels_running"] == 0
    assert found["dgx_pixels_failed"] == (not succeeded)
    assert found["dgx_pixels_images_per_second"] == 0
    assert not any(name.startswith("dgx_pixels_image_seconds") for name in found)


def test_between_two_writes_nothing_is_written(tmp_path: Path) -> None:
    tracker = TextfileTracker(tmp_path, RunDir(Path("/r/train/t/a")), num_restarts=0)
    before = tracker.path.read_text()
    tracker.log(10, {"train/loss": 0.5})
    assert tracker.path.read_text() == before
    tracker.finish([], figures={}, succeeded=True)
    assert figures(tracker.path)["dgx_pixels_loss"] == 0.5


def test_files_of_jobs_long_gone_are_removed_and_no_others(tmp_path: Path) -> None:
    names = [
        "dgx_pixels_train_t_old.prom",
        "dgx_pixels_train_t_new.prom",
        "dgx_pixels_nccl.prom",
        "x.prom",
    ]
    for name in names:
        (tmp_path / name).touch()
        if "new" not in name:
            os.utime(tmp_path / name, (0, time.time() - KEEP_S - 1))
    TextfileTracker(tmp_path, RunDir(Path("/r/train/t/mine")), num_restarts=0)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {*names[1:], "dgx_pixels_train_t_mine.prom"}


def test_a_folder_that_is_not_there_ends_no_job(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = RunDir(tmp_path / "train" / "t" / "a")
    tracker = build_trackers(
        TrackerConfig(), run, config={}, is_main=True, textfile_dir=tmp_path / "absent"
    )
    tracker.log(1, {"train/loss": 1.0})
    tracker.finish([], figures={}, succeeded=True)
    assert run.metrics.read_text().count("\n") == 1
    told = [line for line in caplog.messages if "telemetry.textfile_dir" in line]
    assert len(told) == 1
    assert "absent" in told[0]


def test_a_job_shows_itself_to_its_end(tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "jobs.generate", "model=pixelnano_blank", "name=g", "run_id=r",
        "prompts=[orc]", "num_seeds=6", "batch_size=2", "sampler.num_steps=1", "cluster=local",
        "cluster.tasks_per_node=2", f"runs_dir={tmp_path}", f"telemetry.textfile_dir={tmp_path}",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, env=QUIET, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = tmp_path.glob("*.prom")
    found = figures(file)
    assert found["dgx_pixels_images_total"] == 6
    assert found["dgx_pixels_images_waiting"] == 0
    # Of the main rank alone: batches of 2 are dealt to two.
    assert found["dgx_pixels_image_seconds_count"] == 4
    assert found["dgx_pixels_running"] == 0


def test_bus_bandwidths_are_those_of_the_largest_message_over_all_ranks(tmp_path: Path) -> None:
    sweeps = [
        _sweep("all_reduce", 2, 90.0),
        _sweep("all_reduce", 8, 40.0, 300.0),
        _sweep("all_reduce", 8, 40.0, 310.0),
        _sweep("broadcast", 8),
    ]
    write_nccl(tmp_path, best_bandwidths(sweeps))
    text = (tmp_path / "dgx_pixels_nccl.prom").read_text()
    (sample,) = [s for family in text_string_to_metric_families(text) for s in family.samples]
    assert sample.labels == {"collective": "all_reduce"}
    assert sample.value == 310e9


def _sweep(operation: str, num_ranks: int, *busbw: float) -> Sweep:
    rows = tuple(
        SweepRow(
            size_bytes=8 << number, count=1, dtype="float",
            out_of_place=Figures(time_us=1.0, algbw=each, busbw=each, wrong=0),
        )
        for number, each in enumerate(busbw)
    )  # fmt: skip
    return Sweep(operation=operation, tool="t", rows=rows, num_ranks=num_ranks)
