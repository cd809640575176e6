"""``jobs.review sync`` with W&B's real client, against a stand-in for its server."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.runtime import sync
from jobs.runtime.sync import find_offline, send, without_key
from tests.fakes.wandb_server import KEY, serving
from tests.jobs.mirrored import NAMES, WRITE, make_art

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A data set, a LoRA and sprites, each made by a run with W&B offline."""
    root = tmp_path_factory.mktemp("written")
    art = make_art(root / "art")
    env = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    subprocess.run(
        [sys.executable, "-c", WRITE, root / "runs", art, "offline"], cwd=ROOT, env=env, check=True
    )
    # Their names tell seconds alone, and these were made in no time.
    for second, name in enumerate(NAMES):
        (folder,) = (root / "runs" / name / "wandb").glob("offline-run-*")
        folder.rename(folder.with_name(f"offline-run-20261125_00000{second}-{name[0]}"))
    return root / "runs"


@pytest.fixture
def runs(written, tmp_path, monkeypatch):
    """Files that the client staged stay where they were: it knows them by their whole path."""
    shutil.copytree(written, tmp_path / "runs", symlinks=True)
    for name in [name for name in os.environ if name.startswith("WANDB")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path / "runs"


@pytest.fixture
def server(monkeypatch):
    with serving() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        yield server


def review(*argv):
    return subprocess.run(
        [sys.executable, "-m", "jobs.review", "sync", *map(str, argv)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_runs_arrive_whole_under_the_scheme_and_are_linked(runs, server):
    done = review(runs)
    assert (done.returncode, server.unknown) == (0, []), done.stdout + done.stderr
    run = server.runs["train-tiles-a"]
    assert (run.told["groupName"], run.told["jobType"]) == ("tiles", "train")
    assert run.told["tags"] == ["mine", "pixelnano", "32px"]
    assert [row["train/loss"] for row in run.history] == [1, 1 / 2, 1 / 3, 1 / 4]
    assert (run.summary["loss"], run.summary["gpu_hours"], run.exit_code) == (0.25, 1.5, 0)
    used = {each.told["artifactCollectionName"]: each for each in server.artifacts}
    assert used["dataset-tiles"].used_by == ["train-tiles-a"]
    assert used["lora-train-tiles-a"].used_by == ["generate-tiles-g"]
    assert used["sprites-generate-tiles-g"].used_by == []
    assert used["lora-train-tiles-a"].files == {"x.safetensors": b"weights"}
    aliases = {each["alias"] for each in used["dataset-tiles"].told["aliases"]}
    assert aliases == {"latest", "0123456789ab"}

    num_asked = len(server.asked)
    assert review(runs).returncode == 0
    assert len(server.asked) == num_asked, "what is there is asked for again"


def test_it_goes_on_where_it_left_off(runs, server):
    (first,) = find_offline([runs / NAMES[0]])
    assert send([first], tell=lambda _: None) == []
    assert list(server.runs) == ["prepare-tiles-d"]
    said = []
    assert send(find_offline([runs / name for name in NAMES[:2]]), tell=said.append) == []
    assert len(said) == 1
    assert set(server.runs) == {"prepare-tiles-d", "train-tiles-a"}
    assert len(server.runs["prepare-tiles-d"].history) == 4


def test_a_server_that_does_not_answer_is_waited_for_once_and_what_is_left_is_said(runs, server):
    server.failing = True
    done = review(runs, "--tries=1", "--timeout-s=2")
    assert done.returncode == 1
    assert [name for name in NAMES if f"left: {name}" in done.stdout] == list(NAMES)
    assert KEY not in done.stdout + done.stderr
    server.failing = False
    assert send(find_offline([runs / NAMES[1]]), tell=lambda _: None) == []
    assert list(server.runs) == ["train-tiles-a"]


def test_no_key_is_one_line_and_a_wrong_one_is_not_shown(runs, server, monkeypatch):
    wrong = "f" * 40
    monkeypatch.setenv("WANDB_API_KEY", wrong)
    done = review(runs / NAMES[0], "--tries=1")
    assert done.returncode == 1
    assert "no such key" in done.stdout
    assert wrong not in done.stdout + done.stderr
    monkeypatch.delenv("WANDB_API_KEY")
    done = review(runs)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert server.runs == {}


def test_a_killed_writers_file_is_sent_once_up_to_its_torn_end(runs, server):
    (torn,) = find_offline([runs / NAMES[1]])
    torn.file.write_bytes(torn.file.read_bytes()[:-40])
    assert send([torn], tell=lambda _: None) == []
    assert server.runs["train-tiles-a"].history
    num_asked = len(server.asked)
    assert send(find_offline([runs / NAMES[1]]), tell=lambda _: None) == []
    assert len(server.asked) == num_asked
    with torn.file.open("ab") as file:
        file.write(b"more")
    assert not torn.is_sent


def test_a_broken_file_is_left_and_an_empty_one_passed_over_and_neither_holds_up_the_rest(
    runs, server
):
    broken, _, empty = find_offline([runs])
    empty.file.write_bytes(empty.file.read_bytes()[:7])
    data = broken.file.read_bytes()
    broken.file.write_bytes(data[:20] + bytes(byte ^ 255 for byte in data[20:60]) + data[60:])
    done = review(runs, "--tries=1")
    assert done.returncode == 1
    assert [line for line in done.stdout.splitlines() if line.startswith("left: prepare/tiles/d")]
    assert "1 sent" in done.stdout
    assert set(server.runs) == {"train-tiles-a"}
    assert "train-tiles-a uses dataset-tiles" in done.stdout  # which is not there, and is said


def test_a_run_that_runs_is_left_alone_but_for_its_earlier_attempts(runs, server):
    run = runs / NAMES[1]
    (folder,) = run.glob("wandb/offline-run-*")
    shutil.copytree(folder, folder.with_name("offline-run-20261125_000009-t"), symlinks=True)
    (run / "run.json").write_text(json.dumps({"status": "running"}))
    done = review(run, "--dry-run")
    assert [line.split(":")[0] for line in done.stdout.splitlines()[1:]] == ["left", "would send"]
    assert "would send: train/tiles/a 20261125_000001" in done.stdout
    assert review(run, "--dry-run", "--running").stdout.count("would send") == 2
    assert server.asked == []


def test_tries_are_counted(runs, monkeypatch):
    tried, paused = [], []
    monkeypatch.setattr(sync, "_try", lambda offline, timeout_s: tried.append(offline) or "no")
    monkeypatch.setattr(sync.time, "sleep", paused.append)
    left = send(find_offline([runs / NAMES[0]]), tries=3, pause_s=4.0, tell=print)
    assert (len(tried), paused, len(left)) == (3, [4.0, 8.0], 1)


@pytest.mark.parametrize("argv", [("--tries=0",), ("--timeout-s=0",), ("nowhere",)])
def test_bad_arguments_are_one_line(argv):
    done = review(*argv)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("key", [KEY, "wandb_v1_abcDEF123_x"])
def test_a_key_is_taken_out(key, monkeypatch):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    assert key not in without_key(f"401 for {key}: refused")
    monkeypatch.setenv("WANDB_API_KEY", "local-odd-key")
    assert "odd" not in without_key("401 for local-odd-key")
