"""What this machine is: cores, memory, GPUs and driver, as far as they tell. No torch."""

import platform
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from pipeline.core.nvml import Nvml, open_nvml

GIB = 2**30
NVML_CLOCK_SM = 1
PACKAGES = (
    "torch",
    "diffusers",
    "peft",
    "accelerate",
    "transformers",
    "submitit",
    "hydra-core",
    "wandb",
    "nvidia-dali-cuda130",
    "numpy",
    "pillow",
    "safetensors",
)
"""Packages whose versions may change a result or its speed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU as the driver tells it; None: it does not say."""

    index: int
    name: str
    uuid: str | None = None
    memory_mib: int | None = None
    power_limit_w: float | None = None
    """Enforced now; the same card is another one at another limit."""
    power_limit_default_w: float | None = None
    sm_clock_max_mhz: int | None = None
    ecc: bool | None = None
    mig: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One node."""

    host: str
    system: str
    cpu: str
    num_cores: int
    """Logical cores this process may use."""
    memory_gib: float
    driver: str | None = None
    cuda_driver: str | None = None
    """Newest CUDA the driver serves, as ``13.0``."""
    gpus: tuple[Gpu, ...] = field(default_factory=tuple)

    @property
    def hardware(self) -> str:
        """Short name, such as ``8 x NVIDIA B200`` or ``2 cores of AMD EPYC 9B14``."""
        if self.gpus:
            return f"{len(self.gpus)} x {self.gpus[0].name}"
        return f"{self.num_cores} cores of {self.cpu}"


def read_machine() -> Machine:
    """Ask the system and, where there is a driver, NVML. Takes some milliseconds."""
    with open_nvml() as nvml:
        return describe(nvml)


def describe(nvml: Nvml | None) -> Machine:
    """Return what the system and ``nvml`` tell."""
    cuda = nvml.ask("SystemGetCudaDriverVersion") if nvml else None
    return Machine(
        host=platform.node(),
        system=platform.platform(),
        cpu=_cpu_model(),
        num_cores=len(psutil.Process().cpu_affinity() or ()),
        memory_gib=round(psutil.virtual_memory().total / GIB, 1),
        driver=nvml.ask("SystemGetDriverVersion") if nvml else None,
        cuda_driver=f"{cuda // 1000}.{cuda % 1000 // 10}" if cuda else None,
        gpus=tuple(_gpu(nvml, i, handle) for i, handle in enumerate(nvml.handles)) if nvml else (),
    )


def read_packages() -> dict[str, str]:
    """Return the installed version of each of ``PACKAGES``; one that is missing is left out."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _gpu(nvml: Nvml, index: int, handle: Any) -> Gpu:
    memory = nvml.ask("DeviceGetMemoryInfo", handle)
    ecc = nvml.ask("DeviceGetEccMode", handle)
    mig = nvml.ask("DeviceGetMigMode", handle)
    return Gpu(
        index=index,
        name=nvml.ask("DeviceGetName", handle) or "unknown GPU",
        uuid=nvml.ask("DeviceGetUUID", handle),
        memory_mib=memory.total // 2**20 if memory else None,
        power_limit_w=_watts(nvml.ask("DeviceGetEnforcedPowerLimit", handle)),
        power_limit_default_w=_watts(nvml.ask("DeviceGetPowerManagementDefaultLimit", handle)),
        sm_clock_max_mhz=nvml.ask("DeviceGetMaxClockInfo", handle, NVML_CLOCK_SM),
        ecc=bool(ecc[0]) if ecc else None,
        mig=bool(mig[0]) if mig else None,
    )


def _watts(milliwatts: int | None) -> float | None:
    return None if milliwatts is None else milliwatts / 1000


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())
