import errno
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.telemetry import sampler as module
from bench.telemetry.process import ProcessTree
from bench.telemetry.sampler import Sampler
from bench.telemetry.stream import Rows, SourceError
from bench.telemetry.summary import read_folder, read_segments, summarise

UUID = "GPU-a"


class Fake:
    """A source that tells what a test gives it, then dies."""

    name = "fake"

    def __init__(self, rows: Iterator[Rows] | None = None) -> None:
        self.rows = rows
        self.joules = 0.0
        self.closed = False

    def read(self) -> Rows:
        if self.rows is not None:
            try:
                return next(self.rows)
            except StopIteration:
                raise SourceError("fell off the bus") from None
        self.joules += 10.0
        return {UUID: {"energy_j": self.joules, "power_w": 700.0, "vram_used_mib": 5.0}}

    def close(self) -> None:
        self.closed = True


def sampling(
    path: Path, source: Callable[[], Fake] | None = None, *, attempt: str = "1", **more: Any
) -> Sampler:
    ways = [source] if source else []
    return Sampler(
        path,
        attempt=attempt,
        node="n",
        interval_s=0.02,
        find_ways=lambda _: (ways, {"scope": "1 GPU"}),
        **more,
    )


def until(what: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 5
    while not what():
        assert time.monotonic() < end_s
        time.sleep(0.01)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def has_lines(path: Path, count: int) -> Callable[[], bool]:
    return lambda: path.exists() and path.read_text().count("\n") >= count


def test_it_samples_from_the_first_to_the_last_moment(tmp_path: Path) -> None:
    path = tmp_path / "telemetry" / "n.jsonl"
    fake = Fake()
    running = sampling(path, lambda: fake).start()
    until(has_lines(path, 6))
    running.stop()
    assert fake.closed
    rows = lines(path)[1:]
    assert rows[-1]["end"] is True
    assert [row["t_s"] for row in rows] == sorted(row["t_s"] for row in rows)
    (segment,) = read_segments(path)
    told = summarise([segment])
    assert segment.head["attempt"] == "1"
    assert (told["sources"], told["scopes"]) == (["fake"], ["1 GPU"])
    seen = [row["gpus"][UUID]["energy_j"] for row in rows if row["gpus"]]
    assert told["energy_j"] == seen[-1] - seen[0] > 0
    assert not told["killed"]
    assert 0 < told["own_cpu_s"] < told["sampled_s"] + 1


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


def test_what_went_wrong_in_it_stays_in_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> Fake:
        raise RuntimeError("a fault of ours")

    running = sampling(tmp_path / "n.jsonl", broken).start()
    running._thread.join(5)
    running.stop()
    assert "a fault of ours" in caplog.text


def test_a_line_that_was_cut_by_a_kill_is_left_out_and_ended(tmp_path: Path) -> None:
    path = tmp_path / "n.jsonl"
    for attempt in ("killed", "after"):
        running = sampling(path, Fake, attempt=attempt).start()
        until(lambda name=attempt: path.exists() and path.read_text().count(name) == 1)
        until(has_lines(path, path.read_text().count("\n") + 4))
        running.stop()
        if attempt == "killed":
            whole = path.read_bytes()
            path.write_bytes(whole[: whole.rindex(b'"end"')])
    found = read_folder(tmp_path)
    assert list(found) == ["killed", "after"]
    first, second = (summarise(found[name]) for name in found)
    assert (first["killed"], first["lost_samples"]) == (True, 1)
    assert (second["killed"], second["lost_samples"]) == (False, 0)
    assert first["energy_j"] > 0
    # Of attempts that are known already no line is looked into.
    assert list(read_folder(tmp_path, only={"after"})) == ["after"]


def test_it_draws_no_random_number_and_leaves_no_thread(tmp_path: Path) -> None:
    random.seed(5)
    before, threads = random.getstate(), threading.active_count()
    running = sampling(tmp_path / "n.jsonl", Fake).start()
    until(has_lines(tmp_path / "n.jsonl", 4))
    running.stop()
    assert random.getstate() == before
    assert threading.active_count() == threads
    assert running._thread.daemon


def test_a_job_that_forks_is_sampled_once(tmp_path: Path) -> None:
    code = (
        "import os, sys, time; from pathlib import Path; from bench.telemetry.sampler import *;"
        "s = Sampler(Path(sys.argv[1]), attempt='1', node='n', interval_s=0.05,"
        " find_ways=lambda _: ([], {})).start(); time.sleep(0.3);"
        "pid = os.fork(); (time.sleep(0.3), os._exit(0)) if pid == 0 else os.waitpid(pid, 0);"
        "s.stop(); print('done')"
    )
    path = tmp_path / "n.jsonl"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(path)],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("done\n", "")
    times = [row["t_s"] for row in lines(path)[1:]]
    assert times == sorted(times)


def test_time_of_children_that_ended_is_kept() -> None:
    tree = ProcessTree(os.getpid())
    before = tree.read()["cpu_s"]
    code = "import time\nwhile time.process_time() < 0.3: pass"
    subprocess.run([sys.executable, "-c", code], check=True)
    # Both ends are rounded to the kernel's ticks of 10 ms.
    assert tree.read()["cpu_s"] - before >= 0.25


def zone(path: Path, name: str, joules: int) -> None:
    path.mkdir()
    (path / "name").write_text(f"{name}\n")
    (path / "energy_uj").write_text(str(joules * 10**6))
    (path / "max_energy_range_uj").write_text(str(10 * 10**6))


def test_rapl_is_read_where_it_can_be_and_wraps(tmp_path: Path) -> None:
    zones = {
        "intel-rapl:0": ("package-0", 5),
        "intel-rapl:1": ("package-1", 7),
        "intel-rapl:0:0": ("core", 99),
    }
    for name, (told, joules) in zones.items():
        zone(tmp_path / name, told, joules)
    tree = ProcessTree(os.getpid(), powercap=tmp_path)
    assert tree.read()["cpu_energy_j"] == 0.0
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text(str(8 * 10**6))
    (tmp_path / "intel-rapl:1" / "energy_uj").write_text(str(1 * 10**6))
    assert tree.read()["cpu_energy_j"] == 3.0 + 4.0
    (tmp_path / "intel-rapl:1" / "energy_uj").unlink()
    assert "cpu_energy_j" not in tree.read()
    assert "cpu_energy_j" not in ProcessTree(os.getpid(), powercap=tmp_path / "no").read()


def test_the_platforms_counter_is_not_a_package_more(tmp_path: Path) -> None:
    zone(tmp_path / "intel-rapl:0", "package-0", 0)
    zone(tmp_path / "intel-rapl:1", "psys", 0)
    tree = ProcessTree(os.getpid(), powercap=tmp_path)
    for name in ("intel-rapl:0", "intel-rapl:1"):
        (tmp_path / name / "energy_uj").write_text(str(4 * 10**6))
    assert tree.read()["cpu_energy_j"] == 4.0


def test_a_hidden_root_leaves_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with ``hidepid=2``: what belongs to others is not there."""
    real = psutil.Process.__init__

    def hidden(self: psutil.Process, pid: int | None = None) -> None:
        if pid == 1:
            raise psutil.NoSuchProcess(pid)
        real(self, pid)

    monkeypatch.setattr(psutil.Process, "__init__", hidden)
    told = ProcessTree(1).read()
    assert told["num_processes"] >= 1
    assert told["rss_mib"] > 1


def test_a_list_of_processes_that_may_not_be_read_leaves_the_root(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As with ``hidepid=1``: the kernel refuses, and psutil passes that on as it is."""

    def refused(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(psutil.Process, "children", refused)
    assert ProcessTree(os.getpid()).read()["num_processes"] == 1


def test_what_is_known_is_written_before_the_probes(tmp_path: Path) -> None:
    path, free = tmp_path / "n.jsonl", threading.Event()

    def slow() -> Fake:
        free.wait(10)
        return Fake()

    running = sampling(path, slow).start()
    until(has_lines(path, 2))
    (segment,) = read_segments(path)
    assert segment.host.levels["rss_mib"][0] > 0
    free.set()
    running.wait_for_first()
    running.stop()
    (segment,) = read_segments(path)
    told = summarise([segment])
    assert (told["sources"], told["scopes"]) == (["fake"], ["1 GPU"])


def test_a_job_that_is_over_waits_for_no_more_probes(tmp_path: Path) -> None:
    asked, tried = threading.Event(), []

    def first() -> Fake:
        asked.set()
        until(running._done.is_set)
        raise SourceError("no")

    def second() -> Fake:
        tried.append(True)
        return Fake()

    ways = [first, second]
    running = Sampler(
        tmp_path / "n.jsonl", attempt="1", node="n", interval_s=1.0,
        find_ways=lambda _: (ways, {}),
    )  # fmt: skip
    running.start()
    assert asked.wait(5)
    running.stop()
    assert not tried
    (segment,) = read_segments(tmp_path / "n.jsonl")
    assert segment.ended


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


def test_what_was_found_out_is_said_again_after_a_lost_row(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = []
    running = sampling(tmp_path / "n.jsonl", Fake)
    running._open()

    def lossy(row: dict[str, Any]) -> None:
        rows.append(row)
        running._num_lost_rows = int(len(rows) == 1)

    running._write = lossy  # type: ignore[method-assign]
    for _ in range(3):
        running._sample()
    assert ["about" in row for row in rows] == [True, True, False]
    running._close()
