"""Names, units, defaults and checks of everything that concerns models. Standard library only."""

import re
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

SIDE_STEP_PX = 8
"""Every family halves the side three times at least: VAEs to latents, pixelnano fold and levels."""


class FamilyName(Enum):
    """Model families, one file each in ``pipeline/models``."""

    pixelnano = "pixelnano"
    sd15 = "sd15"
    sdxl = "sdxl"


class Targets(Enum):
    """Which layers of the UNet get an adapter."""

    attention = "attention"
    """Query, key, value and output projections: what most LoRA tools mean."""
    linear = "linear"
    """Attention, feed-forward and projection layers."""
    all = "all"
    """Every linear and convolution layer."""


class Method(Enum):
    """How an adapter makes a large matrix out of small ones."""

    lora = "lora"
    """The product of two (Hu et al. 2021, arXiv 2106.09685)."""
    loha = "loha"
    """Two such products, entry by entry (Hyeon-Woo et al. 2021, arXiv 2108.06098)."""
    lokr = "lokr"
    """A Kronecker product (Yeh et al. 2023, arXiv 2309.14859)."""


def check_pattern(key: str, pattern: str) -> None:
    """Refuse what is no regular expression.

    Raises:
        ValueError: Naming the key.
    """
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{key}: {pattern!r} is no regular expression ({error})") from None


class LoraForm(Enum):
    """How the layers of a LoRA file are called."""

    diffusers = "diffusers"
    """peft's and diffusers' names."""
    kohya = "kohya"
    """Flat names with an alpha each, SDXL's blocks counted as sd-scripts does."""
    comfyui = "comfyui"
    """Flat names with an alpha each, all blocks as diffusers counts them."""


@dataclass(kw_only=True, slots=True)
class ModelConfig:
    """Which base model, and exactly which bytes of it."""

    family: FamilyName
    """Which of the families."""
    path: Path | None = None
    """Local folder in diffusers layout; wins over ``repo``. ``pixelnano`` with neither is built
    from its own config with random weights of a fixed seed."""
    repo: str | None = None
    """Hub repository, read at ``revision`` only."""
    revision: str | None = None
    """Hub commit, 40 hex digits: a branch name would move under a run."""
    variant: str | None = None
    """Weight file variant, such as ``fp16``."""
    sha256: dict[str, str] = field(default_factory=dict)
    """Expected digest of weight files, keyed by path inside the folder."""
    size_px: int = 32
    """Pixels. Side the model draws, after ``pixel_scale``."""

    def __post_init__(self) -> None:
        if self.size_px < SIDE_STEP_PX or self.size_px % SIDE_STEP_PX:
            raise ValueError(f"model.size_px: {self.size_px} is not a multiple of {SIDE_STEP_PX}")
        if self.sha256 and self.path is None:
            raise ValueError("model.sha256: needs model.path; a repo is pinned by model.revision")
        if self.repo is not None and self.path is None:
            revision = self.revision or ""
            if len(revision) != 40 or set(revision) - set("0123456789abcdef"):
                raise ValueError(f"model.revision: {self.revision!r} is not a 40-digit commit hash")


@dataclass(kw_only=True, slots=True)
class LoraConfig:
    """The adapter that is trained."""

    method: Method = Method.lora
    """Which kind. ``loha`` and ``lokr`` are for the UNet only, take none of ``dropout``,
    ``rslora``, ``dora`` and ``lr_ratio_b``, and are written in the diffusers form only, which this
    project reads back."""
    rank: int = 16
    """Inner width of each adapter."""
    alpha: float = 16.0
    """Scale numerator: an adapter counts ``alpha / rank`` (``alpha / sqrt(rank)`` with rslora)."""
    targets: Targets = Targets.attention
    """Which layers of the UNet."""
    dropout: float = 0.0
    """Share of adapter inputs dropped while training, 0 to 1."""
    rslora: bool = False
    """Rank-stabilised scale (Kalajdzievski 2023, arXiv 2312.03732)."""
    dora: bool = False
    """Weight-decomposed adapters (Liu et al. 2024, arXiv 2402.09353); UNet only, and written in the
    diffusers form only."""
    text_encoder: bool = False
    """Whether the text encoder's attention gets adapters too."""
    rank_pattern: dict[str, int] = field(default_factory=dict)
    """Ranks of some layers, by a regular expression found in their full name, such as
    ``unet.mid_block``: the last that fits counts, one that fits nothing is an error. ``alpha``
    stays, so a layer counts ``alpha`` over its own rank."""
    lr_ratio_b: float = 1.0
    """Learning rate of an adapter's second factor over its first's (LoRA+, Hayou et al. 2024, arXiv
    2402.12354, which takes 16); 1 is plain LoRA."""

    def __post_init__(self) -> None:
        if self.lr_ratio_b <= 0:
            raise ValueError(f"lora.lr_ratio_b: {self.lr_ratio_b} is not above 0")
        for pattern, rank in self.rank_pattern.items():
            check_pattern("lora.rank_pattern", pattern)
            if rank < 1:
                raise ValueError(f"lora.rank_pattern: {pattern}={rank} is below 1")
        if self.rank < 1:
            raise ValueError(f"lora.rank: {self.rank} is below 1")
        if self.alpha <= 0:
            raise ValueError(f"lora.alpha: {self.alpha} is not above 0")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"lora.dropout: {self.dropout} is outside 0..1")
        self._check_method()
        if self.dora and self.text_encoder:
            # diffusers 0.42.1 does not read a text encoder's magnitudes back.
            raise ValueError("lora.dora: only without lora.text_encoder; set one of them to false")

    def _check_method(self) -> None:
        plain = {
            "dropout": self.dropout == 0,
            "rslora": not self.rslora,
            "dora": not self.dora,
            "text_encoder": not self.text_encoder,
            "lr_ratio_b": self.lr_ratio_b == 1,
        }
        for key, is_plain in plain.items():
            if self.method is not Method.lora and not is_plain:
                raise ValueError(f"lora.{key}: not with lora.method={self.method.value}")


@dataclass(kw_only=True, slots=True)
class LoraUse:
    """A trained adapter and how strongly to apply it."""

    path: Path
    """A ``.safetensors`` file or a run folder whose ``lora/`` holds one."""
    weight: float = 1.0
    """1 is as trained, 0 is the base model."""
