"""Runs that W&B is told of as they go, with its real client, against a stand-in for its server."""

import os
import subprocess
import sys
from pathlib import Path

from tests.fakes.wandb_server import KEY, serving
from tests.jobs.mirrored import WRITE, make_art

ROOT = Path(__file__).parents[2]


def test_runs_arrive_as_they_go_with_what_they_make_and_use(tmp_path):
    art = make_art(tmp_path / "art")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    with serving() as server:
        env = {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": KEY, "HOME": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-c", WRITE, tmp_path / "runs", art, "online"],
            cwd=ROOT, env=kept | env, capture_output=True, text=True, check=True,
        )  # fmt: skip
    assert (server.unknown, "W&B:" in done.stderr) == ([], False), done.stderr
    assert KEY not in done.stdout + done.stderr
    run = server.runs["train-tiles-a"]
    assert (run.told["groupName"], run.told["jobType"]) == ("tiles", "train")
    assert [row["train/loss"] for row in run.history] == [1, 1 / 2, 1 / 3, 1 / 4]
    assert (run.summary["loss"], run.summary["gpu_hours"], run.exit_code) == (0.25, 1.5, 0)
    made = {each.told["artifactCollectionName"]: each for each in server.artifacts}
    assert made["dataset-tiles"].used_by == ["train-tiles-a"]
    assert made["lora-train-tiles-a"].used_by == ["generate-tiles-g"]
    assert made["lora-train-tiles-a"].files == {"x.safetensors": b"weights"}
    assert not list((tmp_path / "runs").rglob("uses.json")), "there is nothing to tell later"
