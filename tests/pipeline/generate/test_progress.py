"""Rows that tell how far a run is while it goes on."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from pipeline.core.metrics import NullTracker
from pipeline.core.rundir import RunDir
from pipeline.generate import progress
from pipeline.generate.ledger import Ledger
from pipeline.generate.progress import Progress
from repro.compare import trace


class Rows(NullTracker):
    """Writes as the runtime's tracker does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.times: list[tuple[float, int]] = []

    def log(self, num_images: int, metrics: Mapping[str, float]) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps({"num_images": num_images, **metrics}) + "\n")

    def observe(self, name: str, value: float, *, count: int = 1) -> None:
        assert name == "image_time_s"
        self.times.append((value, count))


def make(run: RunDir, *indices: int) -> None:
    """As a rank records what it has put in place."""
    with run.manifest(0).open("a") as file:
        for index in indices:
            looks = {"hash": "0", "coverage": 0.5, "passes": True}
            row = {"index": index, "attempt": 0, "num_bytes": 1, "sha256": "", **looks}
            file.write(json.dumps(row) + "\n")


def test_rows_tell_of_the_whole_run_and_are_no_trace_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunDir(tmp_path)
    rows = Rows(run.metrics)
    told = Progress(rows, Ledger(run), num_asked=5)
    make(run, 0, 1)
    told.tell()
    assert not run.metrics.exists()
    monkeypatch.setattr(progress, "REPORT_S", 0.0)
    told.tell()
    make(run, 2)
    told.tell()
    found = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    assert [row["num_images"] for row in found] == [2, 3]
    assert [row["speed/images_waiting"] for row in found] == [3, 2]
    assert all(row["speed/img_per_s"] > 0 for row in found)
    # When a row comes is the machine's: two runs of the same work are equal all the same.
    assert trace(run) == []


def test_an_image_has_its_share_of_the_batch(tmp_path: Path) -> None:
    rows = Rows(tmp_path / "m")
    Progress(rows, Ledger(RunDir(tmp_path)), num_asked=5).drew(4, 2.0)
    assert rows.times == [(0.5, 4)]


def test_ranks_that_are_not_the_main_one_say_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "REPORT_S", 0.0)
    told = Progress(None, Ledger(RunDir(tmp_path)), num_asked=5)
    told.drew(4, 2.0)
    told.tell()
