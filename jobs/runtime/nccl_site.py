"""What an allocation has for a sweep of collectives, and what its processes may know of it."""

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass

import psutil

from pipeline.core.machine import Machine

CPU_RANKS = 8
"""Ranks of a node without GPUs: as many as a DGX has, whatever its cores."""
GPU_SHARE = 0.25
CPU_SHARE = 0.125
"""Of the memory, for one of a rank's two buffers; all ranks of a node share a CPU's."""
ALLOWED = re.compile(
    r"(NCCL|UCX|FI|OMPI|PMIX|OPAL|HPCX|SHARP|GLOO|TORCH|CUDA|NVIDIA|SLURM|OMP|GOMP|LC|ENROOT|PYXIS)_.*"
    r"|PATH|HOME|USER|LOGNAME|LANG|SHELL|TMPDIR|LD_LIBRARY_PATH|PYTHONPATH|VIRTUAL_ENV"
)
"""What a process of the sweep is given: nccl-tests writes its whole environment into its JSON."""
KEPT = re.compile(r"(NCCL|UCX|FI|GLOO)_.*")
"""What stays in files: what may change a figure. Which GPUs of a node is not of it."""
SECRET = re.compile(r"(?<!P)KEY|TOKEN|SECRET|PASSW|CREDENTIAL|JWT", re.IGNORECASE)
"""Never, whatever the above say. ``NCCL_IB_PKEY`` is a partition's number, not a secret."""
NO_GPUS = {"", "NoDevFiles", "-1"}
"""What ``CUDA_VISIBLE_DEVICES`` says where a process is given none."""
THREADS = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "1000"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where a sweep runs."""

    num_nodes: int
    ranks_per_node: int
    device: str
    """``cuda`` or ``cpu``."""
    gpu: str | None
    """The GPU's name."""
    in_slurm: bool
    max_bytes: int
    """Largest message that two buffers a rank leave room for."""

    @property
    def num_ranks(self) -> int:
        """Most ranks there can be."""
        return self.num_nodes * self.ranks_per_node


def read_site(env: Mapping[str, str], machine: Machine) -> Site:
    """Return what this job, or without a job this machine, has.

    GPUs are those that the driver shows *and* the allocation gives: a cluster that only says it has
    GPUs, as deploy/slurm-local does, is measured on its CPU, and so is a job that asked for none.
    """
    in_slurm = "SLURM_JOB_ID" in env
    num_nodes = int(env.get("SLURM_JOB_NUM_NODES", "1")) if in_slurm else 1
    num_gpus = min(_given_gpus(env, in_slurm=in_slurm), len(machine.gpus))
    if num_gpus:
        memory = min((gpu.memory_mib or 0) for gpu in machine.gpus) * 2**20
        return Site(
            num_nodes=num_nodes,
            ranks_per_node=num_gpus,
            device="cuda",
            gpu=machine.gpus[0].name,
            in_slurm=in_slurm,
            max_bytes=int(memory * GPU_SHARE),
        )
    return Site(
        num_nodes=num_nodes,
        ranks_per_node=CPU_RANKS,
        device="cpu",
        gpu=None,
        in_slurm=in_slurm,
        max_bytes=int(psutil.virtual_memory().available * CPU_SHARE / CPU_RANKS),
    )


def _given_gpus(env: Mapping[str, str], *, in_slurm: bool) -> int:
    """Return the GPUs of a node that may be used; without Slurm no bound where none is set.

    Slurm does not always hide the others, so there they are counted only where it names them.
    """
    visible = env.get("CUDA_VISIBLE_DEVICES")
    if visible in NO_GPUS:
        return 0
    if in_slurm and "SLURM_GPUS_ON_NODE" in env:
        return int(env["SLURM_GPUS_ON_NODE"])
    named = env.get("SLURM_JOB_GPUS", "") if in_slurm else visible
    return sys.maxsize if named is None else len([each for each in named.split(",") if each])


def child_env(env: Mapping[str, str]) -> dict[str, str]:
    """Return the part of the environment that processes of the sweep get."""
    allowed = {name: value for name, value in env.items() if may_pass(name)}
    return allowed | {name: env.get(name, value) for name, value in THREADS.items()}


def may_pass(name: str) -> bool:
    """Whether a process may be given a variable."""
    return bool(ALLOWED.fullmatch(name)) and not SECRET.search(name)


def may_keep(name: str) -> bool:
    """Whether a variable may stand in a file."""
    return bool(KEPT.fullmatch(name)) and not SECRET.search(name)


def this_env() -> dict[str, str]:
    """Return the environment of this process."""
    return dict(os.environ)
