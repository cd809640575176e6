"""What the tests on a real Slurm share: commands, records, waiting, ranks."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pipeline.core.rundir import RunDir

ROOT = Path(__file__).parents[2]
ENDED_S = 240


def job(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def submit(
    script: Path, folder: Path, *flags: str, arguments: Sequence[str] = (), where: Path = ROOT
) -> Path:
    """Submit a batch script as a user types it and wait; return what the job printed."""
    told = folder / "out.txt"
    done = subprocess.run(
        ["sbatch", "--parsable", f"--output={told}", *flags, str(script), *arguments],
        cwd=where, capture_output=True, text=True, check=False,
        env={**os.environ, "HF_TOKEN": "tell-nobody"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    job_id = done.stdout.strip()
    wait_until(
        lambda: (
            not subprocess.run(
                ["squeue", "--noheader", f"--jobs={job_id}"], capture_output=True, check=False
            ).stdout.strip()
        ),
        limit_s=300,
    )
    return told


def record(run: RunDir) -> dict[str, Any]:
    return json.loads(run.run_json.read_text()) if run.run_json.exists() else {"status": "waiting"}


def wait_until(what: Callable[[], bool], *, limit_s: float) -> None:
    end = time.monotonic() + limit_s
    while not what():
        assert time.monotonic() < end, "took too long"
        time.sleep(0.2)


def wait_finished(run: RunDir, *, limit_s: float = ENDED_S) -> None:
    wait_until(lambda: record(run)["status"] == "finished", limit_s=limit_s)


def ranks_of(run: RunDir) -> list[int]:
    found = subprocess.run(
        ["pgrep", "-f", f"submitit.core._submit {run.submitit}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return [
        int(pid)
        for pid in found.stdout.split()
        if "python" in Path(f"/proc/{pid}/exe").resolve().name
    ]
