"""From the scheduler's environment to a ``World``, and to what accelerate looks for."""

import os
import platform
import re
from collections.abc import Mapping

from jobs.runtime.conf import ClusterConfig
from pipeline.core.world import World

NAMES = {
    "slurm": {
        "rank": "SLURM_PROCID",
        "world_size": "SLURM_NTASKS",
        "local_rank": "SLURM_LOCALID",
        "node": "SLURM_NODEID",
        "num_nodes": "SLURM_JOB_NUM_NODES",
        "job_id": "SLURM_JOB_ID",
    },
    "local": {
        "rank": "SUBMITIT_LOCAL_GLOBALID",
        "world_size": "SUBMITIT_LOCAL_NTASKS",
        "local_rank": "SUBMITIT_LOCAL_LOCALID",
        "node": "SUBMITIT_LOCAL_NODEID",
        "num_nodes": "SUBMITIT_LOCAL_JOB_NUM_NODES",
        "job_id": "SUBMITIT_LOCAL_JOB_ID",
    },
    # One process alone: jobs.runtime.worker_loop names it.
    "queue": {"job_id": "DGX_PIXELS_WORKER"},
}
"""Scheduler (as ``SUBMITIT_EXECUTOR`` names it) to the variables that tell a rank its place."""

PORT_BASE = 20000
PORT_RANGE = 20000


def read_world(env: Mapping[str, str], cluster: ClusterConfig, *, num_cpus: int) -> World:
    """Build this process's ``World``.

    Args:
        env: The environment.
        cluster: Whether there are GPUs, and cores a task.
        num_cpus: Cores this process may use.
    """
    names = NAMES.get(env.get("SUBMITIT_EXECUTOR", ""))
    told = {key: int(env[name]) for key, name in (names or {}).items() if key != "job_id"}
    world_size, num_nodes = told.get("world_size", 1), told.get("num_nodes", 1)
    local_world_size = max(1, world_size // num_nodes)
    local_rank = told.get("local_rank", 0)
    on_gpu = cluster.gpus_per_node > 0 or cluster.gres is not None
    return World(
        rank=told.get("rank", 0),
        world_size=world_size,
        local_rank=local_rank,
        local_world_size=local_world_size,
        node=told.get("node", 0),
        num_nodes=num_nodes,
        device=f"cuda:{_device_index(env, local_rank)}" if on_gpu else "cpu",
        num_threads=cluster.cpus_per_task or _threads(env, local_world_size, num_cpus),
    )


def job_id(env: Mapping[str, str]) -> str:
    """Return the scheduler's id of this job, ``inline`` without one."""
    names = NAMES.get(env.get("SUBMITIT_EXECUTOR", ""), {})
    return env.get(names.get("job_id", ""), "inline")


def host_name(env: Mapping[str, str] = os.environ) -> str:
    """Return the node's name as Slurm has it, else as the system has it."""
    return env.get("SLURMD_NODENAME") or platform.node()


def count_gpus(cluster: ClusterConfig) -> int | None:
    """Return how many GPUs a job is given, over all nodes; None: slices, which are no number."""
    on_node = gpus_of_node(cluster)
    return None if on_node is None else on_node * cluster.num_nodes


def gpus_of_node(cluster: ClusterConfig) -> int | None:
    """Return how many GPUs a job is given on a node; None: slices, which are no number.

    ``cluster.gres`` is a list as ``gpu``, ``gpu:8``, ``gpu:b200:8`` or ``gpu:8(S:0-1)``, with other
    things beside.
    """
    if cluster.gres is None:
        return cluster.gpus_per_node
    bare = re.sub(r"\([^)]*\)", "", cluster.gres)  # which sockets they are at
    asked = [item.removeprefix("gres/").split(":") for item in bare.split(",")]
    gpus = [parts for parts in asked if parts[0].strip() == "gpu"]
    # MIG by profile, as gpu:1g.23gb:7; without a gpu, shares of one.
    if not gpus or any("g." in part for parts in gpus for part in parts):
        return None
    return sum(int(parts[-1]) if parts[-1].isdigit() else 1 for parts in gpus)


def export_process_group(world: World, env: Mapping[str, str]) -> None:
    """Side effect: put what accelerate and torch look for into ``os.environ``."""
    if world.world_size == 1:
        return
    os.environ.update(
        RANK=str(world.rank),
        WORLD_SIZE=str(world.world_size),
        LOCAL_RANK=str(world.local_rank),
        LOCAL_WORLD_SIZE=str(world.local_world_size),
        MASTER_ADDR=_first_host(env),
        MASTER_PORT=str(_port(env)),
    )


def _threads(env: Mapping[str, str], local_world_size: int, num_cpus: int) -> int:
    """A rank's share of the cores: as Slurm gave them, else this machine's dealt out evenly.

    Where ranks are bound to cores, ``num_cpus`` is the rank's own and bounds what Slurm says of
    the node; elsewhere it is all of the machine's.
    """
    on_node = int(env.get("SLURM_CPUS_ON_NODE", num_cpus))
    given = int(env.get("SLURM_CPUS_PER_TASK", on_node // local_world_size))
    return max(1, min(given, num_cpus))


def _device_index(env: Mapping[str, str], local_rank: int) -> int:
    """A rank that was given one GPU alone sees it as 0, one that sees them all takes its own."""
    visible = env.get("CUDA_VISIBLE_DEVICES", "")
    return 0 if visible and "," not in visible else local_rank


def _first_host(env: Mapping[str, str]) -> str:
    nodes = env.get("SLURM_JOB_NODELIST", "")
    if not nodes or env.get("SLURM_JOB_NUM_NODES", "1") == "1":
        return "127.0.0.1"
    # dgx[01-04,07] or dgx1,dgx2: the first name is all that is needed.
    head = re.match(r"([^\[,]+)(?:\[(\d+))?", nodes)
    assert head is not None, nodes
    return head.group(1) + (head.group(2) or "")


def _port(env: Mapping[str, str]) -> int:
    """A port that follows from the job, so that all ranks agree and jobs on a node differ."""
    number = int(re.sub(r"\D", "", job_id(env)) or 0)
    restarts = int(env.get("SLURM_RESTART_COUNT", "0"))
    return PORT_BASE + (number * 16 + restarts % 16) % PORT_RANGE
