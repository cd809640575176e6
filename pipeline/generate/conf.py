"""Names, units, defaults and checks of generation. Standard library only."""

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from pipeline.models.conf import SIDE_STEP_PX, LoraUse, ModelConfig
from pipeline.pixels.conf import FinishConfig


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


class Wrap(Enum):
    """Edges that the picture wraps around, so that it tiles by construction."""

    none = "none"
    x = "x"
    """Left and right."""
    y = "y"
    """Top and bottom."""
    both = "both"


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
    wrap: Wrap = Wrap.none
    """Circular padding in every convolution along these edges, for tiles without seams."""

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
class LoraVariant:
    """One set of adapters out of several that the same prompts are drawn with."""

    name: str
    """What the manifest calls it."""
    loras: list[LoraUse] = field(default_factory=list)
    """Adapters to apply, added up; none is the base model."""


@dataclass(kw_only=True, slots=True)
class GateConfig:
    """Which images are drawn again from their next seed. Off by default."""

    max_redraws: int = 0
    """Times an image is drawn again at most; the last one stays and is marked as not accepted."""
    min_coverage: float = 0.0
    """Least share of visible pixels, 0 to 1."""
    max_coverage: float = 1.0
    """Most, 0 to 1: below 1 an image must have something transparent."""
    require_pass: bool = False
    """Whether an image must pass the verdict of finishing."""
    near_duplicate_bits: int = -1
    """An image that differs from an earlier one of the run in this many bits of its 256-bit
    difference hash or fewer is a near-duplicate; -1 is off, 0 to 31."""

    def __post_init__(self) -> None:
        if self.max_redraws < 0:
            raise ValueError(f"gates.max_redraws: {self.max_redraws} is below 0")
        if not 0.0 <= self.min_coverage <= self.max_coverage <= 1.0:
            raise ValueError(
                f"gates.min_coverage: {self.min_coverage} and max_coverage: {self.max_coverage} "
                "are not in order within 0..1"
            )
        if not -1 <= self.near_duplicate_bits <= 31:
            raise ValueError(
                f"gates.near_duplicate_bits: {self.near_duplicate_bits} is outside -1..31"
            )

    @property
    def are_on(self) -> bool:
        """Whether anything may be turned away."""
        bounded = self.min_coverage > 0 or self.max_coverage < 1
        return bounded or self.require_pass or self.near_duplicate_bits >= 0


@dataclass(kw_only=True, slots=True)
class ComputeConfig:
    """How the same picture is computed faster; recorded, since it moves the last bits."""

    channels_last: bool = False
    """Lay activations out with channels innermost: what convolutions on a GPU like."""
    compile: bool = False
    """Compile the repeated blocks of the UNet: minutes at the start, faster steps."""
    fuse_loras: bool = True
    """Add adapters into the base weights where a run has one set of them."""
    decode_batch_size: int = 0
    """Images a call of the VAE's decoder; 0 takes the whole batch."""

    def __post_init__(self) -> None:
        if self.decode_batch_size < 0:
            raise ValueError(f"compute.decode_batch_size: {self.decode_batch_size} is below 0")


@dataclass(kw_only=True, slots=True)
class GenerateConfig:
    """Prompts x seeds x variants x sizes to PNG files."""

    model: ModelConfig
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    compute: ComputeConfig = field(default_factory=ComputeConfig)
    gates: GateConfig = field(default_factory=GateConfig)
    finish: FinishConfig = field(default_factory=FinishConfig)
    native_size_px: int | None = None
    """Pixels. Side of a finished sprite where ``finish.grid`` reduces the picture; none takes what
    is found. Without a grid it is the side drawn over ``pixel_scale``."""
    loras: list[LoraUse] = field(default_factory=list)
    """Adapters to apply, added up."""
    variants: list[LoraVariant] = field(default_factory=list)
    """Several sets of adapters, each with a name: all prompts are drawn with each, from the same
    noise. Instead of ``loras``."""
    prompts: list[str] = field(default_factory=list)
    """Prompts in order; ``{group}`` stands for each choice of ``grammar.group``. May be empty when
    ``prompts_file`` is given."""
    prompts_file: Path | None = None
    """``.txt``: a prompt a line, blank lines and those that start with # are skipped. ``.csv`` with
    a header or ``.jsonl``: columns ``prompt`` and, where wanted, ``negative``, ``seed``,
    ``num_seeds``."""
    grammar: dict[str, list[str]] = field(default_factory=dict)
    """Choices by group name; a choice may hold other groups."""
    negative: str = ""
    """What guidance leads away from, where a prompt brings none of its own."""
    num_seeds: int = 1
    """Images a prompt."""
    sizes_px: list[int] = field(default_factory=list)
    """Sides the model draws; none takes ``model.size_px``."""
    seed: int = 0
    """Run seed: an image depends on (seed, prompt and its position, model, LoRA, sampler) only."""
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
        for size_px in self.sizes_px or [self.model.size_px]:
            if size_px < SIDE_STEP_PX or size_px % SIDE_STEP_PX or size_px % self.pixel_scale:
                key = "sizes_px" if self.sizes_px else "model.size_px"
                raise ValueError(
                    f"{key}: {size_px} is not a multiple of {SIDE_STEP_PX} and of "
                    f"pixel_scale={self.pixel_scale}"
                )
        if self.native_size_px is not None and not self.finish.grid.enabled:
            raise ValueError("native_size_px: only with finish.grid.enabled=true")
        self._check_variants()

    def _check_variants(self) -> None:
        if self.variants and self.loras:
            raise ValueError("variants: given beside loras; put the loras into a variant")
        names = [variant.name for variant in self.variants]
        if len(set(names)) < len(names) or "" in names:
            raise ValueError(f"variants: names must differ and not be empty; found {names}")
