"""What goes wrong beside a job stays there: sources that die or hang, disks that are full."""

import errno
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from bench.telemetry import sampler as module
from bench.telemetry.stream import SourceError
from bench.telemetry.summary import read_segments
from tests.fakes.sampling import UUID, Fake, has_lines, lines, sampling, until


def test_a_source_that_dies_is_noted_and_the_host_still_sampled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.05)
    path = tmp_path / "n.jsonl"
    made: list[Fake] = []

    def source() -> Fake:
        # Each dies after three readings, the first of which is the probe's.
        rows = iter([{UUID: {"energy_j": 1.0}}] * 3)
        made.append(Fake(rows))
        return made[-1]

    running = sampling(path, source).start()
    until(lambda: len(made) >= 2)
    running.stop()
    assert all(fake.closed for fake in made)
    notes = [row["note"] for row in lines(path) if "note" in row]
    assert notes[:2] == ["fake: fell off the bus", "fake: answers"]
    assert all(row["host"]["rss_mib"] > 0 for row in lines(path)[1:])
    assert "fell off the bus" in caplog.text


def test_a_full_disk_costs_rows_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "n.jsonl"
    real_open, full = Path.open, threading.Event()

    class Full:
        def write(self, _: str) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    def opened(self: Path, *arguments: Any, **more: Any) -> Any:
        if full.is_set() and self == path and arguments[:1] == ("a",):
            return Full()
        return real_open(self, *arguments, **more)

    running = sampling(path).start()
    until(has_lines(path, 3))
    monkeypatch.setattr(Path, "open", opened)
    full.set()
    running._drop_file()
    before = path.stat().st_size
    until(lambda: running._num_lost_rows >= 3)
    assert path.stat().st_size == before
    full.clear()
    until(lambda: path.stat().st_size > before)
    running.stop()
    (segment,) = read_segments(path)
    assert segment.num_lost >= 3
    assert segment.ended
    assert caplog.text.count("No space left") == 1


def test_a_folder_that_cannot_be_written_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    running = sampling(tmp_path / "file" / "n.jsonl").start()
    time.sleep(0.1)
    running.stop()
    assert not running._thread.is_alive()


def test_a_source_that_hangs_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STOP_S", 0.1)
    asked, free = threading.Event(), threading.Event()

    def hangs() -> Fake:
        asked.set()
        free.wait(10)
        raise SourceError("at last")

    running = sampling(tmp_path / "n.jsonl", hangs).start()
    assert asked.wait(5)
    start_s = time.monotonic()
    running.stop()
    assert time.monotonic() - start_s < 2
    free.set()
    running._thread.join(5)


def test_a_hang_is_waited_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STOP_S", 0.3)
    asked, free = threading.Event(), threading.Event()

    def hangs() -> Fake:
        asked.set()
        free.wait(10)
        raise SourceError("at last")

    running = sampling(tmp_path / "n.jsonl", hangs).start()
    assert asked.wait(5)
    running.stop()
    start_s = time.monotonic()
    running.stop()
    assert time.monotonic() - start_s < 0.2
    free.set()
    running._thread.join(5)


def test_what_went_wrong_in_it_stays_in_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> Fake:
        raise RuntimeError("a fault of ours")

    running = sampling(tmp_path / "n.jsonl", broken).start()
    running._thread.join(5)
    running.stop()
    assert "a fault of ours" in caplog.text
