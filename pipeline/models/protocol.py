"""What every model family offers to the trainer and to generation.

Shape legend: B batch, C channels, H W height width, L tokens, D width.
Spaces: *pixels* in [-1, 1] (4 channels premultiplied RGBA, or 3 channels RGB), and *latents*, what
the UNet works on (pixelnano: pixels folded 2x2 into channels, lossless; others: scaled VAE latents).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from jaxtyping import Float, Int
from torch import Tensor, nn

Conditioning = dict[str, Tensor]
"""Keyword tensors for ``predict``, batch first: ``encoder_hidden_states`` (B L D) and whatever
else a family needs (SDXL: ``text_embeds``, ``time_ids``)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedModel:
    """The parts of one base model, as modules; everything frozen until an adapter is attached."""

    pipeline: Any
    """The diffusers pipeline of the parts: ``save_pretrained``, ``load_lora_weights`` work."""
    unet: nn.Module
    text_encoders: tuple[nn.Module, ...]
    num_channels: int
    """Pixel channels: 4 RGBA or 3 RGB."""
    latent_shape: tuple[int, int, int]
    """Channels, height, width of one sample's latents at ``ModelConfig.size_px``."""
    prediction: str
    """``epsilon``, ``v`` or ``x0``: what the base was trained to predict."""
    alphas_cumprod: Float[Tensor, " T"]
    """Product of alphas of the training schedule, one a timestep."""
    digest: str
    """sha256 over names and bytes of all base weights: the model's identity in a checkpoint."""


class Family(Protocol):
    """Operations of one family on a ``LoadedModel``. Stateless."""

    def encode_text(self, model: LoadedModel, captions: Sequence[str]) -> Conditioning:
        """Encode captions (an empty one is the unconditional). Differentiable."""

    def encode_pixels(
        self, model: LoadedModel, pixels_BCHW: Float[Tensor, "B C H W"], noise_BCHW: Tensor
    ) -> Float[Tensor, "B c h w"]:
        """Pixels to latents. ``noise_BCHW``: unit noise for a VAE's posterior, if there is one."""

    def decode_latents(
        self, model: LoadedModel, latents_BCHW: Float[Tensor, "B c h w"]
    ) -> Float[Tensor, "B C H W"]:
        """Latents to pixels in [-1, 1] (not clamped)."""

    def predict(
        self,
        unet: nn.Module,
        latents_BCHW: Float[Tensor, "B c h w"],
        timesteps_B: Int[Tensor, " B"],
        conditioning: Mapping[str, Tensor],
    ) -> Float[Tensor, "B c h w"]:
        """One network call. ``unet`` is passed apart because a trainer wraps it (DDP)."""
