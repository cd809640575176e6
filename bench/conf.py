"""Names, units, defaults and checks of benchmarks. Standard library only."""

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from pipeline.data.conf import DataConfig
from pipeline.generate.conf import Precision, SamplerConfig
from pipeline.models.conf import LoraConfig, LoraUse, ModelConfig


class BenchName(Enum):
    """What is measured."""

    throughput = "throughput"
    """Sprites a second, latency, memory, energy: batch sizes, adapters one and many."""
    scaling = "scaling"
    """Training and generation on 1, 2, 4, ... ranks of one node."""
    trainstep = "trainstep"
    """Our training loop against the bare step."""
    loader = "loader"
    """DALI against torch's DataLoader and a tensor that stands ready."""
    pixels = "pixels"
    """Native pixels back from enlarged ones: how exactly, and how fast."""
    storage = "storage"
    """The disk below the run folder: many small files, few large ones."""
    telemetry = "telemetry"
    """What sampling beside a job costs it."""


ON_CPU = (BenchName.loader, BenchName.pixels, BenchName.storage)
"""Those that do not use a GPU, whatever the job has."""


@dataclass(kw_only=True, slots=True)
class BenchConfig:
    """One benchmark; what a bench does not need it does not read."""

    bench: BenchName
    """What to measure."""
    model: ModelConfig
    data: DataConfig
    lora: LoraConfig = field(default_factory=LoraConfig)
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    precision: Precision = Precision.fp32
    """Arithmetic of the network."""
    repeats: int = 5
    """Times each thing is measured; the median counts."""
    warmup: int = 1
    """Times before those, not counted."""
    batch_sizes: list[int] = field(default_factory=lambda: [16])
    """Images a step or model call, each measured (throughput); the first counts elsewhere."""
    num_images: int = 64
    """Images a repeat (throughput, scaling), sprites (pixels), small files (storage)."""
    num_loras: int = 4
    """Untrained adapters that throughput swaps and adds up where ``loras`` names none."""
    loras: list[LoraUse] = field(default_factory=list)
    """Trained adapters for throughput, instead."""
    num_ranks: list[int] = field(default_factory=lambda: [1])
    """Processes on this node to measure with (scaling), in rising order."""
    target: float | None = None
    """What must be reached: p95 latency in ms (throughput), gain from 2 to 4 ranks (scaling), GB/s
    (loader). None: no verdict."""
    pixel_scale: list[int] = field(default_factory=lambda: [1])
    """Enlargements to load at (loader)."""
    scale: float = 7.3
    """Enlargement to undo (pixels)."""
    rivals: Path | None = None
    """Python of ``make bench-rivals``, to measure other packages beside (pixels)."""
    large_file_mib: int = 256
    """Size of the large file (storage)."""

    def __post_init__(self) -> None:
        for name, least in (
            ("repeats", 1),
            ("warmup", 0),
            ("num_images", 1),
            ("num_loras", 1),
            ("large_file_mib", 1),
        ):
            if getattr(self, name) < least:
                raise ValueError(f"{name}: {getattr(self, name)} is below {least}")
        for name in ("batch_sizes", "num_ranks", "pixel_scale"):
            values = getattr(self, name)
            if not values or min(values) < 1 or sorted(set(values)) != values:
                raise ValueError(f"{name}: {values} must be rising whole numbers from 1")
        if (self.sampler.guidance_low, self.sampler.guidance_high) != (0.0, 1.0):
            raise ValueError(
                "sampler.guidance_low: the loops that ours is held against guide in every step; "
                "leave the interval out"
            )
        if self.scale <= 1:
            raise ValueError(f"scale: {self.scale} does not enlarge; it must be above 1")
