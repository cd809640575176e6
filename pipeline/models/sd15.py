"""Stable Diffusion 1.5: one CLIP text encoder, 8x VAE."""

from collections.abc import Sequence
from typing import Any

from pipeline.models.latent import LatentFamily, tokenize
from pipeline.models.protocol import Conditioning


class StableDiffusion15(LatentFamily):
    """The family's operations."""

    def encode_text(self, pipeline: Any, captions: Sequence[str]) -> Conditioning:
        """Encode captions to the last hidden state. Differentiable."""
        encoder = pipeline.text_encoder
        ids_BL = tokenize(pipeline.tokenizer, list(captions), device=encoder.device)
        return {"encoder_hidden_states": encoder(ids_BL).last_hidden_state}
