"""Names, units, defaults and checks of training. Standard library only.

Positions (``num_images``, ``*_every``, ``warmup_images``, ``half_life_images``) are counted in
images seen over all ranks, so that they mean the same on any number of GPUs.
"""

from dataclasses import dataclass, field
from enum import Enum

from pipeline.data.conf import DataConfig
from pipeline.generate.conf import Precision, SamplerConfig
from pipeline.models.conf import LoraConfig, ModelConfig, check_pattern


class Adapter(Enum):
    """What is trained."""

    lora = "lora"
    full = "full"


class Prediction(Enum):
    """What the network is asked for; ``model`` takes what the base was trained with."""

    model = "model"
    epsilon = "epsilon"
    v = "v"
    x0 = "x0"


class Weighting(Enum):
    """How errors are weighed over noise levels, told as the weight of an error in x0."""

    none = "none"
    """All alike in what is predicted."""
    min_snr = "min_snr"
    """min(SNR, ``min_snr_gamma``) (Hang et al. 2023, arXiv 2303.09556)."""
    debiased = "debiased"
    """sqrt(SNR), 1 / sqrt(SNR) in epsilon (Yu et al. 2023, arXiv 2310.08442)."""


class OptimizerName(Enum):
    """What turns gradients into steps."""

    adamw = "adamw"
    """Of torch, fused."""
    prodigy = "prodigy"
    """Finds its own rate (Mishchenko and Defazio 2023, arXiv 2306.06101); ``lr`` is a factor of it,
    1 as a rule. Needs the package prodigyopt."""
    adamw8bit = "adamw8bit"
    """Moments in 8 bits, blockwise, of tensors from 4096 values up (Dettmers et al. 2021, arXiv
    2110.02861). Needs the package bitsandbytes; not measured on GPU."""


class LrScaling(Enum):
    """How the rate follows the batch, beside ``reference_batch_size``."""

    none = "none"
    linear = "linear"
    """By the ratio (Goyal et al. 2017, arXiv 1706.02677)."""
    sqrt = "sqrt"
    """By its square root, which keeps Adam's noise (Malladi et al. 2022, arXiv 2205.10287)."""


class LrSchedule(Enum):
    """Shape of the learning rate after warm-up."""

    cosine = "cosine"
    constant = "constant"


@dataclass(kw_only=True, slots=True)
class OptimConfig:
    """The optimiser and its learning rate."""

    name: OptimizerName = OptimizerName.adamw
    """Which optimiser."""
    lr: float = 1e-4
    """Peak learning rate."""
    beta1: float = 0.9
    """Decay of the first moment."""
    beta2: float = 0.99
    """Decay of the second moment."""
    eps: float = 1e-8
    """Added to the denominator."""
    weight_decay: float = 0.01
    """Decoupled weight decay."""
    warmup_images: int = 0
    """Images over which the rate rises linearly from 0."""
    schedule: LrSchedule = LrSchedule.cosine
    """Shape after warm-up."""
    min_lr_ratio: float = 0.05
    """Where a cosine ends, as a share of ``lr``."""
    max_grad_norm: float = 1.0
    """Gradients are clipped to this norm; 0 leaves them."""
    scale_lr: LrScaling = LrScaling.none
    """Whether ``lr`` is meant for ``reference_batch_size`` and follows ``batch_size`` from there.
    The number of ranks changes nothing: a batch is counted over all of them."""
    reference_batch_size: int = 64
    """Images a step that ``lr`` was found with."""
    lr_pattern: dict[str, float] = field(default_factory=dict)
    """Factors of the rate of some weights, by a regular expression found in their full name, such
    as ``unet.up_blocks``: the last that fits counts, one that fits nothing is an error."""

    def __post_init__(self) -> None:
        if self.lr <= 0:
            raise ValueError(f"optim.lr: {self.lr} is not above 0")
        if self.warmup_images < 0:
            raise ValueError(f"optim.warmup_images: {self.warmup_images} is below 0")
        for name in ("beta1", "beta2"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"optim.{name}: {getattr(self, name)} is outside 0..1")
        for name in ("eps", "weight_decay", "max_grad_norm"):
            if getattr(self, name) < 0:
                raise ValueError(f"optim.{name}: {getattr(self, name)} is below 0")
        if not 0.0 <= self.min_lr_ratio <= 1.0:
            raise ValueError(f"optim.min_lr_ratio: {self.min_lr_ratio} is outside 0..1")
        self._check_factors()

    def _check_factors(self) -> None:
        if self.reference_batch_size < 1:
            raise ValueError(f"optim.reference_batch_size: {self.reference_batch_size} is below 1")
        for pattern, factor in self.lr_pattern.items():
            check_pattern("optim.lr_pattern", pattern)
            if factor < 0:
                raise ValueError(f"optim.lr_pattern: {pattern}={factor} is below 0")


@dataclass(kw_only=True, slots=True)
class LossConfig:
    """What the network is asked for and how errors are weighed."""

    prediction: Prediction = Prediction.model
    """Training target."""
    weighting: Weighting = Weighting.min_snr
    """How much each noise level counts."""
    min_snr_gamma: float = 5.0
    """Clamp of ``weighting=min_snr``; 0 weighs all levels alike."""
    zero_terminal_snr: bool = False
    """Rescale the noise schedule so that its last step is noise alone, which is where sampling
    begins (Lin et al. 2024, arXiv 2305.08891). Needs v-prediction and a weighting that does not
    leave that step out; the LoRA says so in its header, and generation follows it."""
    noise_offset: float = 0.0
    """Strength of a constant a channel added to the noise; 0 is off."""
    pyramid_noise: float = 0.0
    """Noise of half, a quarter, ... of the side added to the noise, each this many times as strong
    as the one before, the sum scaled back to unit variance; 0 is off, below 1."""
    transparent_weight: float = 1.0
    """What the colour of a transparent pixel counts beside an opaque one's 1; 0: transparent pixels
    do not teach. Alpha itself always counts; a VAE's latent cell counts by its pixels' mean."""

    @property
    def schedule_changes(self) -> dict[str, str | bool]:
        """What differs from the base's noise schedule, in diffusers' words."""
        names = {"epsilon": "epsilon", "v": "v_prediction", "x0": "sample"}
        changes: dict[str, str | bool] = {}
        if self.prediction is not Prediction.model:
            changes["prediction_type"] = names[self.prediction.value]
        if self.zero_terminal_snr:
            changes["rescale_betas_zero_snr"] = True
        return changes

    def __post_init__(self) -> None:
        if self.min_snr_gamma < 0 or self.noise_offset < 0:
            raise ValueError("loss.min_snr_gamma and loss.noise_offset are not below 0")
        if not 0.0 <= self.pyramid_noise < 1.0:
            raise ValueError(f"loss.pyramid_noise: {self.pyramid_noise} is outside 0..1")
        if not 0.0 <= self.transparent_weight <= 1.0:
            raise ValueError(f"loss.transparent_weight: {self.transparent_weight} is outside 0..1")
        weighs = self.weighting is Weighting.min_snr and self.min_snr_gamma > 0
        if self.zero_terminal_snr and (weighs or self.weighting is Weighting.debiased):
            raise ValueError(
                f"loss.weighting: {self.weighting.value} counts nothing at the step of noise alone "
                "that loss.zero_terminal_snr makes; set loss.weighting=none"
            )


@dataclass(kw_only=True, slots=True)
class TrainConfig:
    """One training run."""

    model: ModelConfig
    data: DataConfig
    lora: LoraConfig = field(default_factory=LoraConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    adapter: Adapter = Adapter.lora
    """Train a LoRA, or all weights of the model."""
    seed: int = 0
    """Decides order, flips, noise, timesteps, caption dropout and adapter initialisation."""
    num_images: int = 65536
    """Images to train on, over all ranks; rounded up to whole batches."""
    batch_size: int = 64
    """Images an optimiser step, over all ranks and accumulation steps."""
    num_accumulation_steps: int = 1
    """Micro-batches an optimiser step on each rank."""
    precision: Precision = Precision.fp32
    """Arithmetic of the forward pass; weights and optimiser stay fp32."""
    dropout: float = 0.0
    """Share of the base network's features dropped in a training step, in its residual blocks and
    after its attention; 0 is off. Not the adapter's own ``lora.dropout``."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: slower, less memory."""
    ema_half_life_images: int = 8192
    """Half-life of the weight average; 0 keeps none."""
    log_every: int = 512
    """Images between rows of ``metrics.jsonl``."""
    save_every: int = 16384
    """Images between checkpoints."""
    keep_checkpoints: int = 3
    """Newest checkpoints to keep."""
    validate_every: int = 16384
    """Images between validation losses on fixed noise and timesteps; 0 is never."""
    validation_images: int = 256
    """Images of the validation split a validation looks at, at most."""
    sample_every: int = 16384
    """Images between sample grids; 0 is never."""
    sample_prompts: list[str] = field(default_factory=list)
    """Prompts of the sample grid; none takes the first distinct validation captions."""
    num_samples: int = 16
    """Images in a sample grid."""

    def __post_init__(self) -> None:
        least = {
            "num_images": 1,
            "batch_size": 1,
            "num_accumulation_steps": 1,
            "log_every": 1,
            "save_every": 1,
            "keep_checkpoints": 1,
            "ema_half_life_images": 0,
            "validate_every": 0,
            "validation_images": 1,
            "sample_every": 0,
            "num_samples": 1,
        }
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise ValueError(f"{name}: {getattr(self, name)} is below {bound}")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout: {self.dropout} is outside 0..1")
        differs = self.optim.lr_pattern or self.lora.lr_ratio_b != 1
        if self.optim.name is OptimizerName.prodigy and differs:
            raise ValueError(
                "optim.name: prodigy finds one rate for all; leave optim.lr_pattern and "
                "lora.lr_ratio_b as they are"
            )
