"""Names, units, defaults and checks of generation. Standard library only."""

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from pipeline.models.conf import LoraUse, ModelConfig


class SamplerName(Enum):
    """Schedulers of diffusers that are deterministic given the first noise."""

    ddim = "ddim"
    dpmpp_2m = "dpmpp_2m"
    euler = "euler"


class Precision(Enum):
    """Arithmetic of the forward pass."""

    fp32 = "fp32"
    bf16 = "bf16"
    fp16 = "fp16"


@dataclass(kw_only=True, slots=True)
class SamplerConfig:
    """How noise becomes a picture."""

    name: SamplerName = SamplerName.ddim
    """Which scheduler."""
    num_steps: int = 25
    """Model calls an image."""
    guidance_scale: float = 3.0
    """Classifier-free guidance; 1 is off (Ho and Salimans 2022, arXiv 2207.12598)."""
    guidance_low: float = 0.0
    """Share of the schedule, 0 is clean and 1 is noise: without guidance, and with half the work,
    below it (Kynkaanniemi et al. 2024, arXiv 2404.07724)."""
    guidance_high: float = 1.0
    """Share of the schedule above which there is no guidance."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.guidance_low <= self.guidance_high <= 1.0:
            raise ValueError(
                f"sampler.guidance_low: {self.guidance_low} and guidance_high: "
                f"{self.guidance_high} are not in order within 0..1"
            )
        if self.num_steps < 1:
            raise ValueError(f"sampler.num_steps: {self.num_steps} is below 1")
        if self.guidance_scale < 1.0:
            raise ValueError(f"sampler.guidance_scale: {self.guidance_scale} is below 1")


@dataclass(kw_only=True, slots=True)
class GenerateConfig:
    """Prompts x seeds to PNG files."""

    model: ModelConfig
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    loras: list[LoraUse] = field(default_factory=list)
    """Adapters to apply, added up."""
    prompts: list[str] = field(default_factory=list)
    """Prompts in order; may be empty when ``prompts_file`` is given."""
    prompts_file: Path | None = None
    """Text file, one prompt a line; blank lines and lines that start with # are skipped."""
    num_seeds: int = 1
    """Images a prompt."""
    seed: int = 0
    """Run seed: image i depends on (seed, i, prompt, model, LoRA, sampler) only."""
    batch_size: int = 16
    """Images a model call. Part of what makes the bytes: recorded with every image."""
    pixel_scale: int = 1
    """Integer the model's picture is reduced by, nearest neighbour, to native pixels."""
    precision: Precision = Precision.fp32
    """Arithmetic of the forward pass."""
    sheet_columns: int = 8
    """Images in one row of the contact sheet."""

    def __post_init__(self) -> None:
        for name in ("num_seeds", "batch_size", "pixel_scale", "sheet_columns"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: {getattr(self, name)} is below 1")
        if not self.prompts and self.prompts_file is None:
            raise ValueError("prompts: none given; set prompts=[...] or prompts_file=FILE")
