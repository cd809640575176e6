"""What runs on the node: from a run folder's path to a finished, stopped or failed job.

submitit pickles a ``Worker`` and a path, nothing else; everything is read from the folder.
"""

import dataclasses
import logging
import os
import platform
import time
from pathlib import Path
from typing import Any

import yaml

from jobs.conf import JobConfig
from jobs.runtime.context import JobContext
from jobs.runtime.ending import (
    EXIT_CHECK,
    EXIT_LOST,
    LostRankError,
    close,
    end_siblings,
    fail,
    leave,
    note_end,
)
from jobs.runtime.freeze import load_job
from jobs.runtime.lock import take_lock
from jobs.runtime.naming import Made, made_by
from jobs.runtime.quiet import quiet_libraries
from jobs.runtime.record import RunRecord
from jobs.runtime.requeue import requeue
from jobs.runtime.stop import StopFlag, find_deadline
from jobs.runtime.trackers import Trackers, build_trackers, told_not_raised
from jobs.runtime.world import count_gpus, export_process_group, job_id, read_world
from pipeline.core.errors import EXIT_INPUT, CheckError, InputError, plain
from pipeline.core.files import write_json
from pipeline.core.outcome import Outcome
from pipeline.core.rundir import RunDir
from pipeline.core.world import World

log = logging.getLogger(__name__)


class Worker:
    """Runs the job of a run folder. Called by submitit on every rank."""

    def __call__(self, path: str, array_index: int = 0, array_size: int = 1) -> str:
        """Run to the end or to a stop; leave the process with a status that tells which.

        Args:
            path: The run folder.
            array_index: Which job of an array this is.
            array_size: Jobs that share the run folder.
        """
        started_s = time.time()
        run_dir = RunDir(Path(path))
        job = run_dir.path.parts[-3]
        try:
            module, config = load_job(run_dir)
            world = dataclasses.replace(
                read_world(os.environ, config.cluster, num_cpus=len(os.sched_getaffinity(0))),
                array_index=array_index,
                array_size=array_size,
            )
            return _run(job, module, config, world=world, run_dir=run_dir, started_s=started_s)
        except InputError as error:
            leave(str(error), EXIT_INPUT)
        except CheckError as error:
            leave(str(error), EXIT_CHECK)
        except LostRankError as error:
            leave(str(error), EXIT_LOST)
        except OSError as error:
            told = plain(error)
            if told is error:
                end_siblings()
                raise
            leave(str(told), EXIT_INPUT)
        except BaseException:
            end_siblings()
            raise

    def checkpoint(self, path: str, array_index: int = 0, array_size: int = 1) -> Any:
        """Say what to run after a requeue: the same folder."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, path, array_index, array_size)


def _run(
    job: str, module: Any, config: JobConfig, *, world: World, run_dir: RunDir, started_s: float
) -> str:
    # Here, not above: a login node imports this module to submit, and runs none of it.
    from jobs.runtime.meter import Meter
    from jobs.runtime.preflight import before_job

    cluster = config.cluster
    own = run_dir.part(world.array_index) if world.array_size > 1 else run_dir
    _prepare_environment(world, run_dir)
    _log_to_file(run_dir, world)
    lock = take_lock(own, world, holder=job_id(os.environ))
    stop = StopFlag(
        deadline_s=find_deadline(
            os.environ,
            timeout_min=cluster.timeout_min,
            margin_s=cluster.signal_delay_s,
            started_s=started_s,
        ),
        world=world,
        on_end=lambda was_warned: note_end(cluster, record, was_warned=was_warned),
    )
    record: RunRecord | None = None
    stop.listen()
    meter = Meter(config.telemetry, own, world, os.environ)
    if world.is_main:
        write_json(own.env_json, _environment(world))
        record = RunRecord(
            own,
            run_id=run_dir.path.name,
            job=job,
            job_id=job_id(os.environ),
            num_ranks=world.world_size,
            num_gpus=count_gpus(cluster),
            num_nodes=world.num_nodes,
            meter=meter,
            goal=getattr(config, "goal", None),
        )
    tracker = Trackers()
    try:
        before_job(cluster, world, own)
        tracker = build_trackers(
            config.tracker,
            run_dir,
            config=yaml.safe_load(run_dir.config.read_text(encoding="utf-8")),
            is_main=world.writer == 0,
            textfile_dir=config.telemetry.textfile_dir,
            num_restarts=record.num_attempts_before if record is not None else 0,
        )
        context = JobContext(
            world=world,
            run_dir=run_dir,
            tracker=tracker,
            should_stop=stop.agreed,
            stop_requested=stop.requested,
        )
        outcome: Outcome = module.run(config, context)
    except BaseException as error:
        stop.deafen()
        # The reason first: a driver that hangs keeps the meter waiting.
        told = fail(error, record=record, world=world)
        meter.stop()
        tracker.finish([], figures={}, succeeded=False)
        if told is error:
            raise
        raise told from error
    stop.deafen()
    try:
        status = close(config, outcome, stop=stop, record=record, run_dir=run_dir)
        if status != "requeue":
            stop.give_back()
    finally:
        meter.stop()
        tracker.finish(_made(run_dir, outcome), figures=outcome.figures, succeeded=True)
    for file in lock:
        file.close()
    if status == "requeue":
        return requeue(job_id(os.environ), run_dir)
    return status


def _made(run_dir: RunDir, outcome: Outcome) -> list[Made]:
    with told_not_raised():
        return made_by(run_dir, outcome.figures) if outcome.finished else []
    return []


def _prepare_environment(world: World, run_dir: RunDir) -> None:
    export_process_group(world, os.environ)
    # Read when torch is loaded, which is after this: ranks that take all cores each bring a node
    # to a halt.
    os.environ.setdefault("OMP_NUM_THREADS", str(world.num_threads))
    for name in ("DATA", "CACHE", "CONFIG"):
        os.environ[f"WANDB_{name}_DIR"] = str(run_dir.path / "wandb" / name.lower())
    quiet_libraries()


def _log_to_file(run_dir: RunDir, world: World) -> None:
    folder = run_dir.logs / job_id(os.environ)
    folder.mkdir(parents=True, exist_ok=True)
    handlers: list[logging.Handler] = [logging.FileHandler(folder / f"{world.rank}.log")]
    if os.environ.get("SUBMITIT_EXECUTOR") not in ("local", "slurm"):
        # Nobody else shows what this process says.
        handlers.append(logging.StreamHandler())
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(message)s",
        datefmt="%H:%M:%S",
        handlers=handlers,
        force=True,
    )
    logging.captureWarnings(capture=True)
    # What it has to say of a job's end, run.json says.
    logging.getLogger("submitit").setLevel(logging.WARNING)


def _environment(world: World) -> dict[str, Any]:
    from pipeline.core.machine import read_machine, read_packages

    return {
        **dataclasses.asdict(read_machine()),
        "python": platform.python_version(),
        "num_threads": world.num_threads,
        "world_size": world.world_size,
        "device": world.device,
        "packages": read_packages(),
    }
