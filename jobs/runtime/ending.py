"""How an attempt ends: finished, stopped, requeued or failed; each written down in ``run.json``."""

import logging
import os
import sys
from contextlib import suppress
from typing import NoReturn

import psutil

from jobs.conf import JobConfig
from jobs.runtime.conf import ClusterConfig
from jobs.runtime.record import FINISHED, RunRecord
from jobs.runtime.requeue import can_requeue
from jobs.runtime.stop import StopFlag
from pipeline.core.errors import CheckError, InputError, plain
from pipeline.core.outcome import Outcome
from pipeline.core.rundir import RunDir
from pipeline.core.world import World

log = logging.getLogger(__name__)

EXIT_LOST = 1
EXIT_CHECK = 1
GRACE_S = 5.0
"""Seconds a sibling has to leave by itself; as long as the local Slurm gives."""
PEER_LOST = ("by peer", "gloo/transport", "gloo/rendezvous", "NCCL")
"""What torch's process groups say when the process at the other end is gone."""


class LostRankError(Exception):
    """Another rank of this job is gone."""


def leave(line: str, status: int) -> NoReturn:
    """End this process with one line; a traceback would bury it."""
    print(f"error: {' '.join(line.split())}", file=sys.stderr, flush=True)
    end_siblings()
    os._exit(status)


def end_siblings() -> None:
    """Do on this machine what srun's ``--kill-on-bad-exit`` does: the others would only wait.

    Those that notice end by themselves, with their own word in ``run.json``.
    """
    if os.environ.get("SUBMITIT_EXECUTOR") != "local":
        return
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_initialized():
        # Closed first: a rank that waits for this one sees it go.
        with suppress(RuntimeError):
            distributed.destroy_process_group()
    with suppress(psutil.Error):
        siblings = [p for p in psutil.Process(os.getppid()).children() if _is_sibling(p)]
        for sibling in psutil.wait_procs(siblings, timeout=GRACE_S)[1]:
            sibling.kill()


def _is_sibling(process: psutil.Process) -> bool:
    """Whether a process is a rank of this job; where the controller died, its parent has others."""
    key = "SUBMITIT_LOCAL_JOB_ID"
    try:
        return (
            process.pid != os.getpid()
            and "submitit.core._submit" in process.cmdline()
            and process.environ().get(key) == os.environ[key]
        )
    except psutil.Error:
        return False


def fail(error: BaseException, *, record: RunRecord | None, world: World) -> BaseException:
    """Write a failure down; return what to raise."""
    raised = plain(error)
    if world.world_size > 1 and any(sign in str(error) for sign in PEER_LOST):
        said = str(error).splitlines()[0].rpartition("] ")[2] or type(error).__name__
        raised = LostRankError(
            f"another rank is gone ({said}); its own log says why; go on with jobs.resubmit"
        )
    is_plain = isinstance(raised, (InputError, CheckError))
    known = is_plain or isinstance(raised, LostRankError)
    reason = str(raised) if known else f"{type(error).__name__}: {error}"
    log.error("failed: %s", reason, exc_info=None if is_plain else error)
    if record is not None:
        record.end("failed", reason=reason, outcome=None)
    return raised


def note_end(cluster: ClusterConfig, record: RunRecord | None, *, was_warned: bool) -> None:
    """Write down what is true if the process is killed before it can say more."""
    if not was_warned:
        if record is not None:
            record.note("stopped", reason="told to end; killed before it could save")
        return
    line = (
        f"cluster.timeout_min: {cluster.timeout_min} min are over and no step was finished and "
        f"saved in the last signal_delay_s={cluster.signal_delay_s}; raise one of them"
    )
    print(f"error: {line}", file=sys.stderr, flush=True)
    if record is not None:
        record.note("failed", reason=line)


def close(
    config: JobConfig,
    outcome: Outcome,
    *,
    stop: StopFlag,
    record: RunRecord | None,
    run_dir: RunDir,
) -> str:
    """Write down how it ended and return ``finished``, ``stopped`` or ``requeue``."""
    if record is None:
        return FINISHED if outcome.finished else "requeue" if stop.wants_requeue else "stopped"
    if outcome.finished:
        record.end(FINISHED, reason="", outcome=outcome)
        log.info("finished: %s", run_dir.path)
        if goal := record.value.get("goal"):
            told = goal["why"] or f"{goal['metric']} {goal['value']:.6g}"
            log.info("goal: %s (%s, %s h)", goal["state"], told, goal["took_hours"])
        return FINISHED
    refusal = _refuse_requeue(config.cluster, outcome, record) if stop.wants_requeue else None
    if refusal is not None:
        record.end("failed", reason=refusal, outcome=outcome)
        raise InputError(refusal)
    # Nothing may stand between the checkpoint and the requeue: the time that is left is short.
    goes_on = stop.wants_requeue and can_requeue()
    record.end("stopped", reason=stop.reason, outcome=outcome, settle=not goes_on)
    log.info("stopped (%s) at %s", stop.reason, outcome.figures.get("num_images"))
    return "requeue" if stop.wants_requeue else "stopped"


def _refuse_requeue(cluster: ClusterConfig, outcome: Outcome, record: RunRecord) -> str | None:
    """Return why a job must not be run again as it is, None where it may."""
    position = outcome.position
    if position >= 0 and position == record.last_position():
        return (
            f"cluster.timeout_min: two attempts ended at {position}; {cluster.timeout_min} min "
            f"less signal_delay_s={cluster.signal_delay_s} is too short for one step"
        )
    if record.num_attempts > cluster.max_requeues:
        return f"cluster.max_requeues: {cluster.max_requeues} requeues are used up"
    return None
