"""A run that waits, workers that come and go, and what Prometheus sees of it."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from jobs.conf import GenerateJob
from jobs.runtime.cli import main as generate_main
from jobs.runtime.queue import MAX_FAILURES, Queued, put, read_queue
from jobs.runtime.queue_metrics import QueueCollector
from jobs.runtime.watch import EXIT_STOPPED
from jobs.runtime.worker_loop import WorkerLoop
from pipeline.core.errors import InputError
from pipeline.core.files import read_json, write_json
from pipeline.core.rundir import RunDir

ROOT = Path(__file__).parents[2]
QUIET = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
WORK = [
    "model=pixelnano_blank", "name=g", "prompts=['{thing} icon']",
    "grammar={thing: [orc, elf, red cap]}", "batch_size=2", "sampler.num_steps=1",
]  # fmt: skip


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", *arguments], cwd=ROOT, env=QUIET, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def job(*arguments: str) -> tuple[int, str]:
    process = start(*arguments)
    said, _ = process.communicate(timeout=200)
    return process.returncode, said


def submit(runs: Path, run_id: str, *more: str) -> RunDir:
    arguments = [*WORK, f"runs_dir={runs}", f"run_id={run_id}", "cluster=queue", *more]
    assert generate_main("generate", GenerateJob, arguments) == 0
    return RunDir(runs / "generate" / "g" / run_id)


def work(runs: Path) -> int:
    """As ``jobs.queue work``, in this process; what draws is a process of its own."""
    return WorkerLoop(runs, tell=lambda _: None, starter="hand").run()


def images(run: RunDir) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in run.images.glob("*.png")}


def until(found: object, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not found():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.1)


def test_workers_that_come_and_go_make_what_one_job_makes(tmp_path: Path) -> None:
    run = submit(tmp_path / "queued", "r", "array=2", "num_seeds=40")
    runs = str(tmp_path / "queued")
    first = start("jobs.queue", "work", runs)
    until(lambda: len(images(run)) >= 4)
    (queued,) = read_queue(tmp_path / "queued")
    assert queued.num_workers == 1
    first.send_signal(signal.SIGTERM)
    said, _ = first.communicate(timeout=60)
    assert first.returncode == EXIT_STOPPED, said
    assert 4 <= len(images(run)) < 120
    assert read_json(run.run_json)["status"] == "stopped"

    for each in [start("jobs.queue", "work", runs) for _ in range(2)]:
        said, _ = each.communicate(timeout=100)
        assert each.returncode == 0, said
    assert read_queue(tmp_path / "queued") == []
    assert list((tmp_path / "queued" / "queue").iterdir()) == []
    record = read_json(run.run_json)
    assert record["status"] == "finished"
    assert record["figures"]["num_images"] == 120
    assert len({attempt["job_id"] for attempt in record["attempts"]}) >= 2
    assert all(attempt["job_id"].startswith("queue-hand-") for attempt in record["attempts"])

    plain = [f"runs_dir={tmp_path / 'plain'}", "run_id=r", "cluster=inline", "num_seeds=40"]
    status, said = job("jobs.generate", *WORK, *plain)
    assert status == 0, said
    assert images(run) == images(RunDir(tmp_path / "plain" / "generate" / "g" / "r"))


def test_a_stop_before_anything_is_drawn_is_no_failure_of_the_run(tmp_path: Path) -> None:
    run = submit(tmp_path, "r")
    worker = start("jobs.queue", "work", str(tmp_path))
    # As soon as there is one: it does not listen to signals yet.
    until(lambda: psutil.Process(worker.pid).children())
    worker.send_signal(signal.SIGTERM)
    said, _ = worker.communicate(timeout=60)
    assert worker.returncode == EXIT_STOPPED, said
    (left,) = read_queue(tmp_path)
    assert left.failures == []
    assert images(run) == {}


def test_a_run_that_fails_again_and_again_leaves_the_others_alone(tmp_path: Path) -> None:
    bad, good = submit(tmp_path, "bad"), submit(tmp_path, "good")
    code = read_json(bad.code_json)
    write_json(bad.code_json, {**code, "config_sha256": "0" * 64})
    assert work(tmp_path) == 1
    assert read_json(good.run_json)["status"] == "finished"
    for _ in range(MAX_FAILURES - 1):
        assert work(tmp_path) == 1
    (left,) = read_queue(tmp_path)
    assert left.is_given_up
    assert "edited after it was frozen" in left.failures[0]
    assert work(tmp_path) == 0
    told = job("jobs.queue", "list", str(tmp_path))[1]
    assert "given up" in told
    assert "0 of 3 images" in told
    # Mended and submitted again it is like new.
    write_json(bad.code_json, code)
    submit(tmp_path, "bad")
    (left,) = read_queue(tmp_path)
    assert not left.failures


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["jobs.queue", "work", "/nowhere"], ["/nowhere"]),
        (["jobs.queue", "work", ".", "--by", "a b"], ["--by", "a b"]),
        (["jobs.queue", "serve", "/nowhere", "--port", "0"], ["/nowhere"]),
        (["jobs.queue", "serve", ".", "--port", "70000"], ["--port", "70000"]),
        (["jobs.generate", *WORK, "cluster=queue", "wait=true"], ["wait"]),
        (["jobs.generate", *WORK, "cluster=queue", "cluster.tasks_per_node=2"], ["array="]),
        (["jobs.train", "+experiment=smoke", "cluster=queue"], ["cluster.where", "jobs.generate"]),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], words: list[str]) -> None:
    status, said = job(*arguments)
    lines = said.strip().splitlines()
    assert status == 2
    assert lines[-1].startswith("error: ")
    assert all(word in lines[-1] for word in words), said


def queued(runs: Path, run_id: str, *, array: int, num_images: int) -> Queued:
    run = RunDir(runs / "generate" / "g" / run_id)
    run.images.mkdir(parents=True)
    put(run, array=array, num_images=num_images)
    return next(each for each in read_queue(runs) if each.run_dir.path.name == run_id)


def test_places_are_held_by_one_each_and_freed_with_their_holder(tmp_path: Path) -> None:
    entry = queued(tmp_path, "a.b", array=2, num_images=10)
    other = queued(tmp_path, "a", array=1, num_images=10)
    first, second = entry.take_place(), entry.take_place()
    assert first is not None
    assert second is not None
    with second[1]:
        with first[1]:
            assert (first[0], second[0]) == (0, 1)
            assert entry.take_place() is None
            assert entry.num_workers == 2
        assert entry.num_workers == 1
        again = entry.take_place()
        assert again is not None
        with again[1]:
            assert again[0] == 0
            # A name that begins like another's is not touched.
            other.leave()
            assert [each.name for each in read_queue(tmp_path)] == ["g/a.b"]
            assert entry.num_workers == 2


def test_older_submissions_come_first(tmp_path: Path) -> None:
    names = ["b", "a", "c"]
    for name in names:
        queued(tmp_path, name, array=1, num_images=1)
        time.sleep(0.002)
    assert [each.run_dir.path.name for each in read_queue(tmp_path)] == names


@pytest.mark.parametrize("text", ["", "{}", '{"format": "x/1"}', "[]", "{"])
def test_an_entry_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "queue").mkdir()
    (tmp_path / "queue" / "x.json").write_text(text)
    with pytest.raises(InputError, match=r"x\.json"):
        read_queue(tmp_path)


def test_workers_wanted_follow_the_images_left_and_the_places(tmp_path: Path) -> None:
    for name, array, num_images in (("few", 8, 5), ("many", 2, 1000), ("bad", 4, 100)):
        queued(tmp_path, name, array=array, num_images=num_images)
    bad = next(each for each in read_queue(tmp_path) if each.name == "g/bad")
    for _ in range(MAX_FAILURES):
        bad.fail("it")
    for index in range(3):
        (tmp_path / "generate/g/few/images" / f"{index:09d}.png").touch()
    (tmp_path / "generate/g/few/images" / ".000000004.png.part").touch()
    registry = CollectorRegistry()
    registry.register(QueueCollector(tmp_path, images_per_worker=100))
    page = generate_latest(registry).decode().splitlines()
    figures = dict(line.rsplit(" ", 1) for line in page if not line.startswith("#"))
    assert figures['dgx_pixels_queue_images{run="g/few"}'] == "2.0"
    wanted = {
        run: figures[f'dgx_pixels_queue_wanted{{run="g/{run}"}}'] for run in ("few", "many", "bad")
    }
    assert wanted == {"few": "1.0", "many": "2.0", "bad": "0.0"}
    assert figures['dgx_pixels_queue_given_up{run="g/bad"}'] == "1.0"


def test_it_is_served(tmp_path: Path) -> None:
    queued(tmp_path, "a", array=3, num_images=7)
    server = start("jobs.queue", "serve", str(tmp_path), "--port", "0")
    assert server.stdout is not None
    try:
        url = server.stdout.readline().split()[-1]
        with urllib.request.urlopen(url, timeout=10) as answer:
            assert 'dgx_pixels_queue_images{run="g/a"} 7.0' in answer.read().decode()
    finally:
        server.terminate()
        server.communicate(timeout=20)


def test_an_entry_is_json_that_names_its_run(tmp_path: Path) -> None:
    told = json.loads(queued(tmp_path, "a", array=3, num_images=7).file.read_text())
    assert told["run"] == "generate/g/a"
