"""What the families with an 8x VAE share."""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float, Int, Num
from torch import Tensor, nn

CELL_PX = 8
"""Pixels. Side of the square that one latent cell stands on."""


class LatentFamily:
    """Pixels to scaled VAE latents and back, and the UNet call."""

    def encode_pixels(
        self, pipeline: Any, pixels_BCHW: Float[Tensor, "B C H W"], noise_BCHW: Tensor | None
    ) -> Float[Tensor, "B c h w"]:
        """Sample the posterior with the noise given, scaled to unit variance."""
        posterior = pipeline.vae.encode(pixels_BCHW).latent_dist
        latents: Tensor = posterior.mean
        if noise_BCHW is not None:
            latents = latents + posterior.std * noise_BCHW
        return latents * pipeline.vae.config.scaling_factor

    def decode_latents(
        self, pipeline: Any, latents_BCHW: Float[Tensor, "B c h w"]
    ) -> Float[Tensor, "B C H W"]:
        """Decode scaled latents; not clamped."""
        pixels: Tensor = pipeline.vae.decode(
            latents_BCHW / pipeline.vae.config.scaling_factor
        ).sample
        return pixels

    def loss_weights(self, weights_B1HW: Float[Tensor, "B 1 H W"]) -> Float[Tensor, "B 1 h w"]:
        """Weigh a latent cell as the mean of the pixels it stands on."""
        return nn.functional.avg_pool2d(weights_B1HW, CELL_PX)

    def predict(
        self,
        unet: nn.Module,
        latents_BCHW: Float[Tensor, "B c h w"],
        timesteps_B: Num[Tensor, " B"],
        conditioning: Mapping[str, Tensor],
    ) -> Float[Tensor, "B c h w"]:
        """One network call; what is not token states goes to the UNet's added conditions."""
        added = {k: v for k, v in conditioning.items() if k != "encoder_hidden_states"}
        out: Tensor = unet(
            latents_BCHW,
            timesteps_B,
            encoder_hidden_states=conditioning["encoder_hidden_states"],
            added_cond_kwargs=added or None,
        ).sample
        return out


def tokenize(tokenizer: Any, captions: list[str], *, device: torch.device) -> Int[Tensor, "B L"]:
    """Tokenise to the tokenizer's full length."""
    tokens = tokenizer(
        captions,
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    )
    ids: Tensor = tokens["input_ids"].to(device)
    return ids
