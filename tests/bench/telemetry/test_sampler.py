import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from bench.telemetry.sampler import Sampler
from bench.telemetry.stream import SourceError
from bench.telemetry.summary import read_folder, read_segments, summarise
from tests.fakes.sampling import UUID, Fake, has_lines, lines, sampling, until


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
