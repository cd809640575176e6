"""Asking the scheduler to run a job again."""

import os
import subprocess
import sys

from pipeline.core.errors import InputError
from pipeline.core.rundir import RunDir

LOCAL_REQUEUE_CODE = 144
"""The exit status on which submitit's local controller starts all ranks again."""


def can_requeue() -> bool:
    """Whether there is a scheduler that could run this job again."""
    return os.environ.get("SUBMITIT_EXECUTOR") in ("local", "slurm")


def requeue(job_id: str, run_dir: RunDir) -> str:
    """Requeue this very job; every rank calls it, the first one acts.

    Slurm ends the job's step when it accepts; the ranks are done and only leave.

    Returns:
        ``stopped`` where no scheduler could run it again; otherwise it does not return.

    Raises:
        InputError: Slurm refused.
    """
    if not can_requeue():
        return "stopped"
    executor = os.environ.get("SUBMITIT_EXECUTOR")
    if executor == "local":
        sys.stderr.flush()
        # One rank's status is enough, and the main one may have had reason to refuse.
        os._exit(LOCAL_REQUEUE_CODE if os.environ.get("SUBMITIT_LOCAL_GLOBALID") == "0" else 0)
    if executor == "slurm" and os.environ.get("SLURM_PROCID") == "0":
        try:
            done = subprocess.run(
                ["scontrol", "requeue", job_id], capture_output=True, text=True, check=False
            )
        except FileNotFoundError:
            raise InputError(
                "requeue: no scontrol here, as in a container without Slurm's client; go on with "
                f"`python -m jobs.resubmit {run_dir.path}`"
            ) from None
        # Preempted without grace, Slurm requeues by itself and says that the job is pending.
        if done.returncode and "pending" not in done.stderr.lower():
            raise InputError(
                f"requeue: scontrol refused ({done.stderr.strip()}); go on with "
                f"`python -m jobs.resubmit {run_dir.path}`"
            )
    sys.stderr.flush()
    os._exit(0)
