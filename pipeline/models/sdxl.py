"""Stable Diffusion XL: two text encoders, pooled text and size conditioning, 8x VAE.

Podell et al. 2023 (arXiv 2307.01952), section 2.2 for the size conditioning.
"""

from collections.abc import Sequence
from typing import Any

import torch

from pipeline.models.latent import LatentFamily, tokenize
from pipeline.models.protocol import Conditioning


class StableDiffusionXL(LatentFamily):
    """The family's operations."""

    def encode_text(self, pipeline: Any, captions: Sequence[str]) -> Conditioning:
        """Encode with both encoders: penultimate states side by side, pooled text of the second."""
        states, pooled = [], None
        for name in ("", "_2"):
            encoder = getattr(pipeline, f"text_encoder{name}")
            tokenizer = getattr(pipeline, f"tokenizer{name}")
            ids_BL = tokenize(tokenizer, list(captions), device=encoder.device)
            out = encoder(ids_BL, output_hidden_states=True)
            states.append(out.hidden_states[-2])
            pooled = out[0]
        assert pooled is not None
        side_px = pipeline.unet.config.sample_size * pipeline.vae_scale_factor
        # Original size, crop corner, target size: our images are whole and of the size asked for.
        time_ids = torch.tensor([[side_px, side_px, 0, 0, side_px, side_px]], device=pooled.device)
        return {
            "encoder_hidden_states": torch.cat(states, dim=-1),
            "text_embeds": pooled,
            "time_ids": time_ids.repeat(len(captions), 1).to(pooled.dtype),
        }
