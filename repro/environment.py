"""What a result was made with: versions, machine, code, seed. As a table, and as JSON to compare.

Neither host names nor serial numbers are kept: a record may be published.
"""

import dataclasses
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from pipeline.core.machine import Gpu, Machine, read_machine, read_packages
from repro.record import NONE

DCGM_ANSWER_S = 10
PRIVATE = ("uuid",)
"""Of a GPU: which card it is, not what it is."""
DIGEST_DIGITS = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class Environment:
    """All of it; None: there is none here, or it does not say."""

    commit: str | None
    """Commit the code was frozen at."""
    dirty: bool | None
    """Whether the working tree had more than that commit."""
    lock_sha256: str | None
    """Digest of ``requirements.lock``."""
    seed: int
    """Run seed of the pictures."""
    torch: str
    """With its build, such as ``2.13.0+cpu``."""
    cuda: str | None
    """CUDA that torch was built for."""
    cudnn: str | None
    nccl: str | None
    """NCCL that torch brings; asked only where it sees a GPU."""
    driver: str | None
    cuda_driver: str | None
    """Newest CUDA the driver serves."""
    dcgm: str | None
    """Version of ``dcgmi``."""
    gpus: tuple[dict[str, Any], ...]
    cpu: str
    cpu_id: str | None
    """Vendor, family and model: what a virtual machine's CPU name may hide."""
    cpu_capability: str
    """Vector instructions that torch chose, such as ``AVX512``."""
    num_cores: int
    memory_gib: float
    system: str
    python: str
    packages: dict[str, str] = field(default_factory=dict)


def read_environment(
    origin: Mapping[str, Any], *, seed: int, machine: Machine | None = None
) -> Environment:
    """Ask torch, the driver, DCGM and the system.

    Args:
        origin: ``code.json`` of the run: commit, digests of what was beside it and of the lock.
        seed: Run seed of the pictures.
        machine: What ``read_machine`` returned, where it was asked already.
    """
    machine = machine or read_machine()
    commit = origin.get("commit")
    return Environment(
        commit=commit,
        dirty=None if commit is None else origin.get("diff_sha256") is not None,
        lock_sha256=origin.get("lock_sha256"),
        seed=seed,
        torch=str(torch.__version__),
        cuda=torch.version.cuda,
        cudnn=cudnn_text(torch.backends.cudnn.version()),
        nccl=_nccl(),
        driver=machine.driver,
        cuda_driver=machine.cuda_driver,
        dcgm=dcgm_version(),
        gpus=tuple(_public(gpu) for gpu in machine.gpus),
        cpu=machine.cpu,
        cpu_id=cpu_id(),
        cpu_capability=torch.backends.cpu.get_cpu_capability(),
        num_cores=machine.num_cores,
        memory_gib=machine.memory_gib,
        system=machine.system,
        python=platform.python_version(),
        packages={name: told for name, told in read_packages().items() if name != "torch"},
    )


def table(environment: Environment) -> str:
    """Return one aligned line a fact, GPUs and packages one a line."""
    rows = list(_rows(environment))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def cudnn_text(number: int | None) -> str | None:
    """Turn cuDNN's number into a version: 91002 is 9.10.2, and before version 9 8902 is 8.9.2."""
    if number is None:
        return None
    major, rest = divmod(number, 10000 if number >= 90000 else 1000)
    return f"{major}.{rest // 100}.{rest % 100}"


def dcgm_version(program: str = "dcgmi") -> str | None:
    """Ask DCGM's command line, which answers without its service; None where there is none."""
    path = shutil.which(program)
    if path is None:
        return None
    try:
        done = subprocess.run(
            [path, "--version"], capture_output=True, text=True, check=False, timeout=DCGM_ANSWER_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"version\s*:\s*(\d+(?:\.\d+)+)", done.stdout, re.IGNORECASE)
    return found.group(1) if found else None


def cpu_id(info: Path = Path("/proc/cpuinfo")) -> str | None:
    """Return vendor, family and model, such as ``AuthenticAMD 26/2``; None where it is not told."""
    if not info.is_file():
        return None
    told: dict[str, str] = {}
    for line in info.read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        told.setdefault(key.strip(), value.strip())
    if not {"vendor_id", "cpu family", "model"} <= told.keys():
        return None
    return f"{told['vendor_id']} {told['cpu family']}/{told['model']}"


def _nccl() -> str | None:
    if not torch.cuda.is_available():
        return None
    return ".".join(str(part) for part in torch.cuda.nccl.version())


def _public(gpu: Gpu) -> dict[str, Any]:
    return {key: value for key, value in dataclasses.asdict(gpu).items() if key not in PRIVATE}


def _rows(told: Environment) -> Iterator[tuple[str, str]]:
    state = {None: "", False: ", clean", True: ", with changes"}[told.dirty]
    lock = told.lock_sha256[:DIGEST_DIGITS] if told.lock_sha256 else NONE
    yield "commit", f"{told.commit or NONE}{state}"
    yield "lock", lock
    yield "seeds", f"run seed {told.seed}; the noise of a picture has its number"
    for name in ("torch", "cuda", "cudnn", "nccl", "driver", "cuda_driver", "dcgm"):
        yield name, getattr(told, name) or NONE
    yield "gpus", str(len(told.gpus)) if told.gpus else NONE
    for gpu in told.gpus:
        limit = "" if gpu["power_limit_w"] is None else f", {gpu['power_limit_w']:g} W"
        memory = "" if gpu["memory_mib"] is None else f", {gpu['memory_mib']} MiB"
        yield f"gpu {gpu['index']}", f"{gpu['name']}{memory}{limit}"
    identity = f" ({told.cpu_id})" if told.cpu_id else ""
    yield "cpu", f"{told.num_cores} cores of {told.cpu}{identity}, {told.cpu_capability}"
    yield "memory", f"{told.memory_gib:g} GiB"
    yield "system", told.system
    yield "python", told.python
    for name, version in sorted(told.packages.items()):
        yield name, version
