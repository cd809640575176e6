"""What is asked of W&B: by the real client, of a stand-in for its server."""

import datetime
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.runtime import mirror
from jobs.runtime.mirror import ask_wandb, reason_of
from jobs.status import main
from pipeline.core.errors import InputError
from tests.fakes.records import write_run
from tests.fakes.wandb_held import Received
from tests.fakes.wandb_server import KEY, WandbServer, serving

SINCE = datetime.datetime(2026, 11, 16, tzinfo=datetime.UTC)
UNTIL = datetime.datetime(2026, 11, 30, tzinfo=datetime.UTC)


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's key, settings or programs."""
    for name in [name for name in os.environ if name.startswith("WANDB")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[WandbServer]:
    with serving() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        yield server


def known(server: WandbServer, name: str, day: int = 24, state: str = "finished", **summary):
    job, group, run = name.split("/")
    server.runs[name.replace("/", "-")] = Received(
        told={
            "displayName": run, "groupName": group, "jobType": job, "state": state,
            "createdAt": f"2026-11-{day:02d}T08:00:00Z",
        },
        summary=summary,
    )  # fmt: skip


def test_runs_of_the_time_are_told_with_their_summaries(server: WandbServer) -> None:
    known(server, "train/tiles/early", day=15)
    known(server, "train/tiles/late", day=30)
    known(server, "train/tiles/a", day=16, validation_loss=0.5, _runtime=90.0)
    known(server, "generate/tiles/b", state="crashed")
    answer = ask_wandb("team/pixels", SINCE, UNTIL)
    assert (answer.silence, answer.is_cut, server.unknown) == (None, False, [])
    newest, oldest = answer.runs
    assert (newest.id, newest.state, newest.elapsed_s) == ("generate-tiles-b", "crashed", None)
    assert (oldest.job, oldest.group, oldest.name) == ("train", "tiles", "a")
    assert oldest.figures["validation_loss"] == 0.5
    assert (oldest.elapsed_s, oldest.created) == (90.0, SINCE.replace(hour=8))
    assert "team/pixels/runs/train-tiles-a" in oldest.url


def test_pages_are_followed_and_no_history_is_asked_for(server: WandbServer) -> None:
    for number in range(mirror.PER_PAGE + 1):
        known(server, f"train/tiles/{number}")
    assert len(ask_wandb("team/pixels", SINCE, UNTIL).runs) == mirror.PER_PAGE + 1
    assert server.asked.count("Runs") == 2
    assert not [name for name in server.asked if "History" in name or name == "Run"]


def silent() -> socket.socket:
    """A server that takes every connection and says nothing."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    return listening


def test_a_server_that_says_nothing_is_left_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    with silent() as listening:
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{listening.getsockname()[1]}")
        answer = ask_wandb("team/pixels", SINCE, UNTIL, timeout_s=0.75)
    assert "0.75" in str(answer.silence)


def test_without_a_key_nobody_is_asked_for_one(server: WandbServer, monkeypatch) -> None:
    monkeypatch.delenv("WANDB_API_KEY")
    answer = ask_wandb("team/pixels", SINCE, UNTIL)
    assert "key" in str(answer.silence)
    assert server.asked == []


def test_a_wrong_key_is_not_told(server: WandbServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "f" * 40)
    answer = ask_wandb("team/pixels", SINCE, UNTIL)
    assert answer.silence
    assert "f" * 40 not in answer.silence


def test_a_slow_server_is_no_wrong_key() -> None:
    told = (
        "Failed to verify credentials with http://127.0.0.1:9: Failed to execute API request: the "
        "service process is busy and did not respond in time."
    )
    assert "credentials" not in reason_of(ValueError(told))
    assert "answer" in reason_of(ValueError(told))
    assert reason_of(ValueError(f"key {KEY} is\nwrong.")) == "key *** is wrong"
    assert reason_of(ValueError()) == "ValueError"


@pytest.mark.parametrize("project", ["", "pixels", "a/b/c", "team/", "te am/x", "https://x/y"])
def test_a_project_is_two_names(project: str) -> None:
    with pytest.raises(InputError, match="ENTITY/PROJECT"):
        ask_wandb(project, SINCE, UNTIL)


def page(*arguments: str) -> str:
    assert main(["--week", "2026-W48", "--wandb", "team/pixels", *arguments]) == 0
    return Path("STATUS.md").read_text()


def test_the_page_has_runs_of_other_machines_beside_those_here(server: WandbServer) -> None:
    write_run(Path("runs"), "train/tiles/here", num_images=8)
    known(server, "train/tiles/here", validation_loss=0.9)
    known(server, "train/tiles/there", validation_loss=0.125, _runtime=7200.0)
    known(server, "train/tiles/before", day=18, validation_loss=0.7)
    known(server, "generate/|odd<b>/x", state="crashed")
    text = page()
    (there,) = [line for line in text.splitlines() if "train/tiles/there" in line]
    assert "W&B alone" in there
    assert "0.125" in there
    assert "2.0 h" in there
    assert "0.9" not in text
    assert "0.7" not in text
    weeks = text.partition("## Week over week")[2].partition("\n## ")[0]
    (alone,) = [line for line in weeks.splitlines() if "W&B" in line]
    assert [cell.strip() for cell in alone.split("|")][2:4] == ["2", "1"]
    assert "<b>" not in text
    (failed,) = [line for line in text.splitlines() if "Failed elsewhere" in line]
    assert "1 of 2" in failed


def test_without_an_answer_the_page_is_written_and_says_so() -> None:
    write_run(Path("runs"), "train/tiles/here")
    text = page()  # no key here
    assert "train/tiles/here" in text
    (line,) = [line for line in text.splitlines() if "did not tell" in line]
    assert "team/pixels" in line
    assert "on W&B alone" not in text


def test_a_project_that_is_none_leaves_no_page(capsys: pytest.CaptureFixture[str]) -> None:
    Path("runs").mkdir()
    assert main(["--week", "2026-W48", "--wandb", "pixels"]) == 2
    assert "ENTITY/PROJECT" in capsys.readouterr().err
    assert not Path("STATUS.md").exists()
