"""Submit a run folder: to Slurm, to processes here, to this very process, or to a queue.

The same worker runs everywhere; submitit pickles it and the folder's path, nothing else.
"""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from jobs.runtime.conf import ClusterConfig, Where
from jobs.runtime.freeze import load_job
from jobs.runtime.queue import put
from jobs.runtime.record import FINISHED
from jobs.runtime.watch import EXIT_STOPPED, watch
from jobs.runtime.worker import Worker
from pipeline.core.errors import InputError
from pipeline.core.rundir import RunDir

SLURM_ANSWER_S = 5
KEEP_THREADS_APART = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "1000"}
"""Spinning OpenMP threads make two ranks on two cores 20 times slower. A short spin is kept: one
process on two quiet cores trains at 130 img/s without it and 156 with it; beside a busy process at
85 and 75 (as ``jobs.bench bench=trainstep`` measures it)."""


def launch(
    run_dir: RunDir, cluster: ClusterConfig, *, job: str, wait: bool | None, array: int = 1
) -> int:
    """Submit and, where asked or usual, watch until the end.

    Args:
        run_dir: What to run.
        cluster: Where.
        job: Name of the verb.
        wait: Watch until the end; None: everywhere but on Slurm.
        array: Jobs that share the run, each with the cluster's processes.

    Returns:
        Exit status: 0 submitted or finished, otherwise the job's.

    Raises:
        InputError: There is no Slurm, or it refuses the job.
    """
    where = resolve_where(cluster.where)
    if where is Where.inline:
        return _inline(run_dir, array=array)
    if where is Where.queue:
        return _queue(run_dir, array=array)
    if where is Where.local:
        submitted = _submit_local(run_dir, cluster, array=array)
        names = " ".join(each.job_id for each in submitted)
        print(f"job {names} on this machine\nrun {run_dir.path}", flush=True)
        return 0 if wait is False else watch(submitted, run_dir)
    submitted = _submit_slurm(run_dir, cluster, name=f"{job}-{run_dir.path.name}", array=array)
    job_id = submitted[0].job_id.split("_")[0]
    log = run_dir.logs / (job_id if array == 1 else "*") / "0.log"
    print(
        f"job {job_id}\nrun {run_dir.path}\n"
        f"follow:   tail -F {log}\ncancel:   scancel {job_id}\n"
        f"resubmit: python -m jobs.resubmit {run_dir.path}",
        flush=True,
    )
    return watch(submitted, run_dir) if wait else 0


def resolve_where(where: Where) -> Where:
    """Turn ``auto`` into Slurm where it answers, else this machine.

    Raises:
        InputError: ``slurm`` is asked for and does not answer.
    """
    if where in (Where.inline, Where.local, Where.queue):
        return where
    answers = slurm_answers()
    if where is Where.slurm and not answers:
        raise InputError(
            "cluster.where: no Slurm answers here (`scontrol ping`); use cluster=local, or "
            "deploy/slurm-local to bring one up"
        )
    return Where.slurm if answers else Where.local


def slurm_answers() -> bool:
    """Whether a Slurm controller answers within a few seconds."""
    if shutil.which("srun") is None:
        return False
    try:
        done = subprocess.run(
            ["scontrol", "ping"],
            capture_output=True,
            text=True,
            timeout=SLURM_ANSWER_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and " UP" in done.stdout


def slurm_parameters(run_dir: RunDir, cluster: ClusterConfig, *, name: str) -> dict[str, Any]:
    """Return what submitit's Slurm executor is told. Pure."""
    srun_args = ["--kill-on-bad-exit=1"]
    if cluster.cpus_per_task:
        # srun does not inherit it since Slurm 22.05.
        srun_args.append(f"--cpus-per-task={cluster.cpus_per_task}")
    if cluster.container_image:
        srun_args.append(f"--container-image={cluster.container_image}")
        # pyxis starts in the image's own folder, which may hold another copy of this code.
        srun_args.append(f"--container-workdir={run_dir.code}")
        if cluster.container_mounts:
            srun_args.append(f"--container-mounts={','.join(cluster.container_mounts)}")
    told: dict[str, Any] = {
        "job_name": name,
        "time": cluster.timeout_min,
        "nodes": cluster.num_nodes,
        "ntasks_per_node": cluster.tasks_per_node,
        "signal_delay_s": cluster.signal_delay_s,
        "stderr_to_stdout": True,
        "srun_args": srun_args,
        "setup": setup_lines(run_dir, cluster),
        "additional_parameters": {"requeue": True},
    }
    optional = {
        "cpus_per_task": cluster.cpus_per_task or None,
        "mem": f"{cluster.memory_gib}G"
        if cluster.memory_gib
        else "0"
        if cluster.exclusive
        else None,
        "gpus_per_node": None if cluster.gres else cluster.gpus_per_node or None,
        "gres": cluster.gres,
        "partition": cluster.partition,
        "account": cluster.account,
        "qos": cluster.qos,
        "constraint": cluster.constraint,
        "exclusive": cluster.exclusive or None,
    }
    return told | {key: value for key, value in optional.items() if value is not None}


def setup_lines(run_dir: RunDir, cluster: ClusterConfig) -> list[str]:
    """Return the shell lines that make a rank run the frozen code with its share of threads."""
    env = KEEP_THREADS_APART | {"PYTHONPATH": str(run_dir.code)}
    if cluster.cpus_per_task:
        env["OMP_NUM_THREADS"] = str(cluster.cpus_per_task)
    env |= cluster.env
    exports = [f"export {key}={_quoted(value)}" for key, value in sorted(env.items())]
    return [*cluster.setup, *exports, f"cd {_quoted(str(run_dir.code))}"]


def _submit_slurm(run_dir: RunDir, cluster: ClusterConfig, *, name: str, array: int) -> list[Any]:
    import submitit
    from submitit.core.utils import FailedJobError

    executor = submitit.SlurmExecutor(
        run_dir.submitit,
        max_num_timeout=cluster.max_requeues,
        python=_quoted(cluster.container_python) if cluster.container_python else None,
    )
    executor.update_parameters(**slurm_parameters(run_dir, cluster, name=name))
    try:
        return _submit(executor, run_dir, array=array)
    except (FailedJobError, subprocess.CalledProcessError) as error:
        line = str(error).strip().splitlines()[-1]
        raise InputError(f"cluster: sbatch refused the job ({line})") from None


def _submit_local(run_dir: RunDir, cluster: ClusterConfig, *, array: int) -> list[Any]:
    import submitit

    if cluster.num_nodes > 1:
        raise InputError(f"cluster.num_nodes: {cluster.num_nodes} nodes need cluster=slurm")
    executor = submitit.LocalExecutor(run_dir.submitit)
    executor.update_parameters(
        timeout_min=cluster.timeout_min,
        tasks_per_node=cluster.tasks_per_node,
        gpus_per_node=cluster.gpus_per_node,
        signal_delay_s=cluster.signal_delay_s,
        stderr_to_stdout=True,
        setup=setup_lines(run_dir, cluster),
    )
    # Ctrl-C is for whoever watches: it asks the ranks to save (see watch), it does not kill them.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return _submit(executor, run_dir, array=array)
    finally:
        signal.signal(signal.SIGINT, before)


def _submit(executor: Any, run_dir: RunDir, *, array: int) -> list[Any]:
    if array == 1:
        return [executor.submit(Worker(), str(run_dir.path))]
    jobs: list[Any] = executor.map_array(
        Worker(), [str(run_dir.path)] * array, range(array), [array] * array
    )
    return jobs


def _inline(run_dir: RunDir, *, array: int) -> int:
    if array > 1:
        raise InputError(f"array: {array} jobs need cluster=slurm or cluster=local")
    os.environ.update(KEEP_THREADS_APART)
    # Absolute paths are in the config; the code that runs is the one that is imported here.
    status = Worker()(str(run_dir.path))
    sys.stdout.write(f"run {Path(run_dir.path)}\n")
    if status == FINISHED:
        return 0
    sys.stdout.write(f"stopped; go on with: python -m jobs.resubmit {run_dir.path}\n")
    return EXIT_STOPPED


def _queue(run_dir: RunDir, *, array: int) -> int:
    module, config = load_job(run_dir)
    num_images = module.count(config)
    runs_dir = put(run_dir, array=array, num_images=num_images).parents[1]
    print(
        f"queued: {num_images} images for up to {array} workers\nrun {run_dir.path}\n"
        f"look:     python -m jobs.queue list {runs_dir}\n"
        f"work:     python -m jobs.queue work {runs_dir}",
        flush=True,
    )
    return 0


def _quoted(text: str) -> str:
    import shlex

    return shlex.quote(text)
