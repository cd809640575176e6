"""From noise and text to pixels: one batch.

Shape legend: B batch, C channels, H W height width; lower case: latents.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from pipeline.core.noise import sample_noise
from pipeline.generate.conf import Precision, SamplerConfig
from pipeline.generate.schedulers import build_scheduler
from pipeline.generate.text import TextCache
from pipeline.models.protocol import Conditioning, LoadedModel

DTYPES = {Precision.bf16: torch.bfloat16, Precision.fp16: torch.float16}

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


@torch.inference_mode()
def sample_pixels(
    model: LoadedModel,
    *,
    prompts: Sequence[str],
    indices: Sequence[int],
    run_seed: int,
    sampler: SamplerConfig,
    device: str,
    precision: Precision,
) -> Pixels:
    """Draw one image a prompt.

    Deterministic given all arguments on one kind of hardware; an image's first noise depends on
    ``run_seed`` and its index alone.

    Args:
        model: Base model, adapters applied.
        prompts: One an image.
        indices: Global index of each image.
        run_seed: Seed of the run.
        sampler: Scheduler, steps, guidance.
        device: ``cpu`` or ``cuda:<index>``.
        precision: Arithmetic of the network calls; the sampler's own sums stay fp32.

    Returns:
        Bytes (B, H, W, C): straight-alpha RGBA with hard alpha, or RGB.
    """
    negatives = [""] * len(prompts) if sampler.guidance_scale > 1 else []
    pixels_BCHW = denoise(
        model,
        sample_noise(run_seed, "noise", indices, shape=model.latent_shape),
        TextCache(model).conditioning(prompts, negatives),
        sampler=sampler,
        device=device,
        precision=precision,
    )
    array: Pixels = to_bytes(pixels_BCHW).cpu().numpy()
    return array


@torch.inference_mode()
def denoise(
    model: LoadedModel,
    noise_BCHW: Float[Tensor, "B c h w"],
    conditioning: Conditioning,
    *,
    sampler: SamplerConfig,
    device: str,
    precision: Precision,
    decode_batch_size: int = 0,
    begin: int = 0,
) -> Float[Tensor, "B C H W"]:
    """Take noise to pixels in [-1, 1], on the model's device, not clamped.

    Args:
        model: Base model, adapters applied.
        noise_BCHW: First noise, unit Gaussian; with ``begin``, latents as noisy as they are there.
        conditioning: Rows of the prompts; with guidance, as many of the negatives follow. Both
            halves go through the network in one call.
        sampler: Scheduler, steps, guidance.
        device: ``cpu`` or ``cuda:<index>``.
        precision: Arithmetic of the network calls.
        decode_batch_size: Images a call of the decoder; 0 is all.
        begin: Steps of the schedule that are left out at its noisy end.
    """
    scheduler = build_scheduler(model.pipeline.scheduler, sampler)
    x_BCHW = noise_BCHW.to(device) * (1.0 if begin else scheduler.init_noise_sigma)
    guided = sampler.guidance_scale > 1
    plain = {name: tensor[: len(noise_BCHW)] for name, tensor in conditioning.items()}
    last = len(model.alphas_cumprod) - 1
    shares = [float(timestep) / last for timestep in scheduler.timesteps]
    kind = device.split(":", maxsplit=1)[0]
    with torch.autocast(kind, dtype=DTYPES.get(precision), enabled=precision in DTYPES):
        for timestep, share in zip(scheduler.timesteps[begin:], shares[begin:], strict=True):
            guides = guided and sampler.guidance_low <= share <= sampler.guidance_high
            scaled_BCHW = scheduler.scale_model_input(x_BCHW, timestep)
            if guides:
                scaled_BCHW = torch.cat([scaled_BCHW, scaled_BCHW])
            timesteps_B = timestep.to(device).expand(len(scaled_BCHW))
            answer_BCHW = model.family.predict(
                model.pipeline.unet, scaled_BCHW, timesteps_B, conditioning if guides else plain
            ).float()
            if guides:
                with_text, without = answer_BCHW.chunk(2)
                answer_BCHW = without + sampler.guidance_scale * (with_text - without)
            x_BCHW = scheduler.step(answer_BCHW, timestep, x_BCHW).prev_sample
    # The public SDXL VAE says of itself that fp16 is too small for it.
    vae = getattr(model.pipeline, "vae", None)
    overflows = precision is Precision.fp16 and bool(vae and vae.config.get("force_upcast"))
    is_cast = precision in DTYPES and not overflows
    with torch.autocast(kind, dtype=DTYPES.get(precision), enabled=is_cast):
        decoded = [
            model.family.decode_latents(model.pipeline, part_BCHW).float()
            for part_BCHW in x_BCHW.split(decode_batch_size or len(x_BCHW))
        ]
    return torch.cat(decoded)


def to_bytes(pixels_BCHW: Float[Tensor, "B C H W"]) -> UInt8[Tensor, "B H W C"]:
    """Turn [-1, 1] into bytes; premultiplied RGBA becomes straight with hard alpha.

    Pixel art has no half-transparent edge: alpha below one half is transparent and its colour is
    zeroed, the rest is opaque. Premultiplied colour is divided by the alpha the model gave.
    """
    pixels_BCHW = pixels_BCHW.clamp(-1, 1)
    if pixels_BCHW.shape[1] == 4:
        alpha_B1HW = (pixels_BCHW[:, 3:] + 1) / 2
        visible_B1HW = alpha_B1HW >= 0.5
        colour_BCHW = (pixels_BCHW[:, :3] / alpha_B1HW.clamp(min=0.5)).clamp(-1, 1)
        opaque = torch.ones_like(alpha_B1HW)
        pixels_BCHW = torch.where(visible_B1HW, torch.cat([colour_BCHW, opaque], dim=1), -1.0)
    bytes_BCHW = ((pixels_BCHW + 1) * 127.5).round().to(torch.uint8)
    return bytes_BCHW.permute(0, 2, 3, 1).contiguous()
