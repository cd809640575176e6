"""What every model family offers to the trainer and to generation.

Shape legend: B batch, C channels, H W height width, L tokens, D width, T timesteps; lower case:
latents. Spaces: *pixels* in [-1, 1] (4 channels premultiplied RGBA, or 3 channels RGB), and
*latents*, what the UNet works on (pixelnano: pixels folded 2x2 into channels; others: VAE latents).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float, Num
from torch import Tensor, nn

from pipeline.models.conf import FamilyName

Conditioning = dict[str, Tensor]
"""Tensors for ``predict``, batch first: ``encoder_hidden_states`` (B L D) and whatever else a
family needs (SDXL: pooled text and size conditioning)."""


@runtime_checkable
class Family(Protocol):
    """Operations of one family on its diffusers pipeline. Stateless."""

    def encode_text(self, pipeline: Any, captions: Sequence[str]) -> Conditioning:
        """Encode captions ("" is the unconditional). Differentiable."""
        ...

    def encode_pixels(
        self, pipeline: Any, pixels_BCHW: Float[Tensor, "B C H W"], noise_BCHW: Tensor | None
    ) -> Float[Tensor, "B c h w"]:
        """Pixels to latents. ``noise_BCHW``: for a VAE's posterior; None takes its mode."""
        ...

    def decode_latents(
        self, pipeline: Any, latents_BCHW: Float[Tensor, "B c h w"]
    ) -> Float[Tensor, "B C H W"]:
        """Latents to pixels, not clamped."""
        ...

    def loss_weights(self, weights_B1HW: Float[Tensor, "B 1 H W"]) -> Float[Tensor, "B ..."]:
        """What each value of the latents counts in a loss, given what each pixel's colour counts.

        Broadcasts over the latents' channels where it has one.
        """
        ...

    def predict(
        self,
        unet: nn.Module,
        latents_BCHW: Float[Tensor, "B c h w"],
        timesteps_B: Num[Tensor, " B"],
        conditioning: Mapping[str, Tensor],
    ) -> Float[Tensor, "B c h w"]:
        """One network call. ``unet`` is passed apart because a trainer may wrap it."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedModel:
    """One base model with its family's operations; frozen until an adapter is attached."""

    family_name: FamilyName
    family: Family
    pipeline: Any
    """The diffusers pipeline: ``save_pretrained`` and ``load_lora_weights`` work on it."""
    num_channels: int
    """Pixel channels: 4 RGBA or 3 RGB."""
    latent_shape: tuple[int, int, int]
    """Channels, height, width of one sample's latents at ``size_px``."""
    size_px: int
    """Pixels. Side it was loaded for: ``ModelConfig.size_px``."""
    digest: str
    """sha256 over names and bytes of all base weights: the model's identity in a checkpoint."""

    def latent_shape_at(self, size_px: int) -> tuple[int, int, int]:
        """Return the latents' shape for another side, a multiple of ``SIDE_STEP_PX``."""
        channels, height, width = self.latent_shape
        return channels, height * size_px // self.size_px, width * size_px // self.size_px

    @property
    def modules(self) -> dict[str, Any]:
        """The modules that may be trained, by their name in the pipeline, UNet first."""
        names = ("unet", "text_encoder", "text_encoder_2")
        found = {name: getattr(self.pipeline, name, None) for name in names}
        return {name: module for name, module in found.items() if module is not None}

    @property
    def prediction(self) -> str:
        """``epsilon``, ``v`` or ``x0``: what the base was trained to predict."""
        names = {"epsilon": "epsilon", "v_prediction": "v", "sample": "x0"}
        return names[self.pipeline.scheduler.config.prediction_type]

    @property
    def alphas_cumprod(self) -> Float[Tensor, " T"]:
        """Product of alphas of the training schedule, one a timestep."""
        alphas: Tensor = self.pipeline.scheduler.alphas_cumprod
        return alphas
