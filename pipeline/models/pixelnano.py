"""pixelnano: a small text-conditional diffusion model of 32x32 RGBA sprites, without a VAE.

Pixels are premultiplied RGBA in [-1, 1]; a lossless 2x2 space-to-depth folds them into 16 channels
at half the side, which is what the UNet works on. Small enough to train and sample on two cores.

Shape legend: B batch, C channels, H W height width, L tokens, D width; lower case: latents.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler, DDPMScheduler, DiffusionPipeline, UNet2DConditionModel
from diffusers.loaders import StableDiffusionLoraLoaderMixin
from jaxtyping import Float, Num
from PIL import Image
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from pipeline.models.protocol import Conditioning

FOLD = 2
"""Side of the pixel block that becomes one latent cell."""
NUM_CHANNELS = 4
MAX_TOKENS = 20
TEXT_WIDTH = 256
ASSETS = Path(__file__).parent / "assets" / "pixelnano"
TOKENIZER = ASSETS / "tokenizer"
WEIGHTS_SEED = 0
"""Seed of the random weights a model without a path is built with."""


class PixelnanoPipeline(DiffusionPipeline, StableDiffusionLoraLoaderMixin):
    """pixelnano behind diffusers' own calls: ``from_pretrained``, ``load_lora_weights``, ``()``."""

    def __init__(
        self,
        unet: UNet2DConditionModel,
        text_encoder: CLIPTextModel,
        tokenizer: CLIPTokenizer,
        scheduler: DDPMScheduler,
    ) -> None:
        super().__init__()
        self.register_modules(
            unet=unet, text_encoder=text_encoder, tokenizer=tokenizer, scheduler=scheduler
        )

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | Sequence[str],
        *,
        num_inference_steps: int = 25,
        guidance_scale: float = 3.0,
        generator: torch.Generator | None = None,
    ) -> list[Image.Image]:
        """Draw one RGBA sprite a prompt.

        Args:
            prompt: One prompt or several.
            num_inference_steps: Model calls an image.
            guidance_scale: Classifier-free guidance, 1 is off.
            generator: Source of the first noise.

        Returns:
            Straight-alpha RGBA images.
        """
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        scheduler = DDIMScheduler.from_config(self.scheduler.config)
        scheduler.set_timesteps(num_inference_steps)
        text = encode(self.text_encoder, self.tokenizer, [*prompts, *[""] * len(prompts)])
        side = self.unet.config.sample_size
        shape = (len(prompts), self.unet.config.in_channels, side, side)
        x = torch.randn(shape, generator=generator, device=self.unet.device)
        for timestep in scheduler.timesteps:
            both = self.unet(torch.cat([x, x]), timestep, encoder_hidden_states=text).sample
            with_text, without = both.chunk(2)
            guided = without + guidance_scale * (with_text - without)
            x = scheduler.step(guided, timestep, x).prev_sample
        pixels_BCHW = nn.functional.pixel_shuffle(x, FOLD).clamp(-1, 1).cpu()
        return [Image.fromarray(unpremultiply(p.numpy())) for p in pixels_BCHW]


def unpremultiply(pixels_CHW: Float[np.ndarray, "4 H W"]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Turn premultiplied [-1, 1] into straight-alpha bytes (H, W, 4) with hard alpha."""
    alpha_HW = (pixels_CHW[3] + 1) / 2
    visible_HW = alpha_HW >= 0.5
    colour_CHW = pixels_CHW[:3] / np.maximum(alpha_HW, 0.5)
    bytes_CHW = np.rint((colour_CHW.clip(-1, 1) + 1) * 127.5)
    out = np.concatenate([bytes_CHW, np.full_like(bytes_CHW[:1], 255)]) * visible_HW
    return out.transpose(1, 2, 0).astype(np.uint8)


def encode(
    text_encoder: nn.Module, tokenizer: CLIPTokenizer, captions: Sequence[str]
) -> Float[Tensor, "B L D"]:
    """Encode captions to token states; differentiable."""
    tokens = tokenizer(
        list(captions),
        padding="max_length",
        max_length=MAX_TOKENS,
        truncation=True,
        return_tensors="pt",
    )
    device = next(text_encoder.parameters()).device
    states: Tensor = text_encoder(tokens["input_ids"].to(device)).last_hidden_state
    return states


def build(size_px: int = 32) -> PixelnanoPipeline:
    """Build the architecture with random weights of a fixed seed; torch's generator stays."""
    tokenizer = CLIPTokenizer.from_pretrained(TOKENIZER)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(WEIGHTS_SEED)
        unet = UNet2DConditionModel(
            sample_size=size_px // FOLD,
            in_channels=NUM_CHANNELS * FOLD**2,
            out_channels=NUM_CHANNELS * FOLD**2,
            block_out_channels=(64, 96, 160),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=TEXT_WIDTH,
            attention_head_dim=8,
            norm_num_groups=16,
        )
        text_encoder = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(tokenizer),
                hidden_size=TEXT_WIDTH,
                intermediate_size=4 * TEXT_WIDTH,
                num_hidden_layers=2,
                num_attention_heads=4,
                max_position_embeddings=MAX_TOKENS,
                hidden_act="gelu",
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
        )
    scheduler = DDPMScheduler(
        beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction", clip_sample=False
    )
    return PixelnanoPipeline(unet, text_encoder, tokenizer, scheduler)


class Pixelnano:
    """The family's operations."""

    def encode_text(self, pipeline: Any, captions: Sequence[str]) -> Conditioning:
        """Encode captions; "" is the unconditional. Differentiable."""
        states = encode(pipeline.text_encoder, pipeline.tokenizer, captions)
        return {"encoder_hidden_states": states}

    def encode_pixels(
        self, pipeline: Any, pixels_BCHW: Float[Tensor, "B C H W"], noise_BCHW: Tensor | None
    ) -> Float[Tensor, "B c h w"]:
        """Fold pixels into channels. Lossless; ``noise_BCHW`` is not used."""
        return nn.functional.pixel_unshuffle(pixels_BCHW, FOLD)

    def decode_latents(
        self, pipeline: Any, latents_BCHW: Float[Tensor, "B c h w"]
    ) -> Float[Tensor, "B C H W"]:
        """Unfold channels into pixels."""
        return nn.functional.pixel_shuffle(latents_BCHW, FOLD)

    def loss_weights(self, weights_B1HW: Float[Tensor, "B 1 H W"]) -> Float[Tensor, "B c h w"]:
        """Weigh colours as their pixel; alpha counts 1, or being transparent is not learnt."""
        colours_BCHW = weights_B1HW.expand(-1, NUM_CHANNELS - 1, -1, -1)
        weights_BCHW = torch.cat([colours_BCHW, torch.ones_like(weights_B1HW)], dim=1)
        return nn.functional.pixel_unshuffle(weights_BCHW, FOLD)

    def predict(
        self,
        unet: nn.Module,
        latents_BCHW: Float[Tensor, "B c h w"],
        timesteps_B: Num[Tensor, " B"],
        conditioning: Mapping[str, Tensor],
    ) -> Float[Tensor, "B c h w"]:
        """One network call."""
        out: Tensor = unet(latents_BCHW, timesteps_B, **conditioning).sample
        return out
