"""Show a job's progress until it ends; Ctrl-C asks it to save and go."""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from jobs.runtime.record import FINISHED
from pipeline.core.files import read_json
from pipeline.core.rundir import RunDir

POLL_S = 0.2
ASK_SLURM_S = 1.0
ENDED = ("", "COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY")
EXIT_STOPPED = 3


def watch(jobs: Sequence[Any], run_dir: RunDir) -> int:
    """Print the first job's main rank's log as it grows, and the outputs at the end of all.

    Returns:
        0 when the run finished, 3 when it stopped and can go on, 1 or 2 when it failed.
    """
    tail = _Tail(run_dir.logs / jobs[0].job_id / "0.log")
    ended = False
    while not ended:
        try:
            tail.show()
            time.sleep(POLL_S)
            ended = all(_ended(job) for job in jobs)
        except KeyboardInterrupt:
            print("asking the job to save and stop ...", file=sys.stderr)
            for job in jobs:
                _tell_to_stop(job)
    tail.show()
    return _conclude(jobs, run_dir)


def _ended(job: Any) -> bool:
    process = getattr(job, "_process", None)
    if process is not None:
        return process.poll() is not None
    # squeue, not sacct, which submitit asks: clusters without accounting have no answer there.
    time.sleep(ASK_SLURM_S)
    told = subprocess.run(
        ["squeue", "--noheader", "--format=%T", f"--jobs={job.job_id}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if told.returncode:
        # Anything else is a controller that is busy or restarting.
        return "Invalid job id" in told.stderr
    return told.stdout.strip() in ENDED


def _tell_to_stop(job: Any) -> None:
    process = getattr(job, "_process", None)
    if process is None:
        job.cancel()
        return
    for child in psutil.Process(process.pid).children(recursive=True):
        if "submitit.core._submit" in child.cmdline():
            child.terminate()


def _conclude(jobs: Sequence[Any], run_dir: RunDir) -> int:
    record = read_json(run_dir.run_json) if run_dir.run_json.exists() else {"status": "failed"}
    status = record["status"]
    if status == FINISHED:
        for output in ("lora", "samples", "images", "contact_sheet.png"):
            if (run_dir.path / output).exists():
                print(f"{output:<9} {run_dir.path / output}")
        return 0
    if status == "stopped":
        print(f"stopped; go on with: python -m jobs.resubmit {run_dir.path}")
        return EXIT_STOPPED
    said = (_last_error(job) for job in jobs)
    line = next((line for line in said if line), "see the logs")
    print(f"failed; {line}\nlogs: {run_dir.logs}", file=sys.stderr)
    return 1


def _last_error(job: Any) -> str | None:
    """Return the line a rank ended with, None where none says anything."""
    for task in range(job.num_tasks):
        path = Path(job.paths.folder) / f"{job.job_id}_{task}_log.out"
        lines = (
            path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
        )
        for line in reversed(lines):
            if line.startswith("error: "):
                return line
    return None


class _Tail:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.position = 0

    def show(self) -> None:
        if not self.path.exists():
            return
        with self.path.open(encoding="utf-8", errors="replace") as file:
            file.seek(self.position)
            text = file.read()
            self.position = file.tell()
        sys.stdout.write(text)
        sys.stdout.flush()
