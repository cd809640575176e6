"""Native pixels cleaned up by a diffusion model: noised a little, then denoised with a caption.

SDEdit (Meng et al. 2022, arXiv 2108.01073): the picture takes the place of the first noise part of
the way down the schedule. What the model makes of it is kept only where it measures better, see
``pipeline/pixels/restore.py``: models of this kind would rather draw a sprite of their own.

Shape legend: B batch, H W native height and width, C channels; c h w latents.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from pipeline.core.noise import sample_noise
from pipeline.generate.conf import Precision, SamplerConfig
from pipeline.generate.sample import denoise, to_bytes
from pipeline.generate.schedulers import build_scheduler
from pipeline.generate.text import TextCache
from pipeline.models.conf import SIDE_STEP_PX
from pipeline.models.protocol import LoadedModel
from pipeline.pixels.oklab import Bytes
from pipeline.pixels.restore import Candidate, Cleaned, is_better

BATCH = 16
MAX_SIDE_PX = 64
"""Twice what the embedded model learnt; beyond it, it draws texture."""


class Denoiser:
    """Cleans up native pixels. Deterministic; a picture does not depend on the others' content.

    Args:
        model: A base of RGBA pixels (pixelnano), adapters applied.
        sampler: Scheduler, steps, guidance; a picture without a caption is not guided.
        strength: Share of the schedule that is walked, within 0..1: how much may change. At least
            one step is walked, and one is left out.
        adds_noise: As SDEdit does. Otherwise the picture's own noise is what is taken away, and
            ``strength`` says how much of it there is.
        seed: Of the noise.
        device: ``cpu`` or ``cuda:<index>``.

    Raises:
        ValueError: ``strength`` is outside its range, or the model's pixels are not RGBA.
    """

    def __init__(
        self,
        model: LoadedModel,
        *,
        sampler: SamplerConfig,
        strength: float,
        adds_noise: bool = True,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        if not 0.0 < strength < 1.0 or sampler.num_steps < 2:
            raise ValueError(f"strength: {strength} of {sampler.num_steps} steps; within 0..1 of 2")
        if model.num_channels != 4:
            raise ValueError(f"model: {model.family_name.value} draws no RGBA pixels")
        self.model, self.sampler, self.device = model, sampler, device
        self.adds_noise, self.seed = adds_noise, seed
        walked = round(strength * sampler.num_steps)
        self.begin = sampler.num_steps - min(max(1, walked), sampler.num_steps - 1)
        self.text = TextCache(model)

    def clean_up(self, candidates: Sequence[Candidate]) -> list[Cleaned]:
        """Clean up each picture, and its halves to see whether that is for the better."""
        pictures: list[Bytes] = []
        captions: list[str] = []
        for one in candidates:
            if one.halves is not None and max(one.native_KLC.shape[:2]) <= MAX_SIDE_PX:
                halves = [_with_alpha(half, one.native_KLC) for half in one.halves]
                pictures += [one.native_KLC, *halves]
                captions += [one.caption] * 3
        drawn = iter(zip(pictures, self(pictures, captions), strict=True))
        found = []
        for one in candidates:
            proposed, kept = one.native_KLC, False
            if one.halves is not None and max(one.native_KLC.shape[:2]) <= MAX_SIDE_PX:
                (_, proposed), first, second = next(drawn), next(drawn), next(drawn)
                kept = all(
                    is_better(changed, was, other)
                    for (was, changed), (other, _) in ((first, second), (second, first))
                )
            native = proposed if kept else one.native_KLC
            found.append(Cleaned(native_KLC=native, proposed_KLC=proposed, kept=kept))
        return found

    def __call__(self, images: Sequence[Bytes], captions: Sequence[str]) -> list[Bytes]:
        """Return what the model makes of each picture; channels and alpha stay as they are."""
        groups: dict[tuple[tuple[int, ...], bool], list[int]] = {}
        for number, (image, caption) in enumerate(zip(images, captions, strict=True)):
            groups.setdefault((image.shape[:2], bool(caption)), []).append(number)
        out = list(images)
        for numbers in groups.values():
            for start in range(0, len(numbers), BATCH):
                part = numbers[start : start + BATCH]
                drawn = self._draw([images[i] for i in part], [captions[i] for i in part])
                for i, pixels in zip(part, drawn, strict=True):
                    out[i] = _kept_shape(images[i], pixels)
        return out

    @torch.inference_mode()
    def _draw(
        self, images: Sequence[Bytes], captions: Sequence[str]
    ) -> UInt8[np.ndarray, "B H W 4"]:
        height, width = images[0].shape[:2]
        padded = [np.pad(_rgba(image), _to_steps(height, width)) for image in images]
        pixels_BCHW = to_pixels(torch.from_numpy(np.stack(padded))).to(self.device)
        latents = self.model.family.encode_pixels(self.model.pipeline, pixels_BCHW, None)
        guided = self.sampler.guidance_scale > 1 and bool(captions[0])
        sampler = self.sampler if guided else _unguided(self.sampler)
        done = denoise(
            self.model,
            self._noised(latents),
            self.text.conditioning(captions, [""] * len(captions) if guided else []),
            sampler=sampler,
            device=self.device,
            precision=Precision.fp32,
            begin=self.begin,
        )
        drawn: UInt8[np.ndarray, "B H W 4"] = to_bytes(done).cpu().numpy()[:, :height, :width]
        return drawn

    def _noised(self, latents: Float[Tensor, "B c h w"]) -> Float[Tensor, "B c h w"]:
        """Bring clean latents to where the schedule begins."""
        scheduler = build_scheduler(self.model.pipeline.scheduler, self.sampler)
        noise = torch.zeros_like(latents)
        if self.adds_noise:
            # The same noise for all: a picture and its halves are to differ by nothing else.
            one = sample_noise(self.seed, "sdedit", [0], shape=latents.shape[1:])
            noise = one.to(self.device).expand_as(latents)
        when = scheduler.timesteps[self.begin : self.begin + 1].expand(len(latents))
        noised: Tensor = scheduler.add_noise(latents, noise, when)
        return noised


def to_pixels(images_BHWC: UInt8[Tensor, "B H W 4"]) -> Float[Tensor, "B 4 H W"]:
    """Turn straight RGBA bytes into premultiplied [-1, 1], as the loader does."""
    values = images_BHWC.permute(0, 3, 1, 2).float()
    alpha = values[:, 3:]
    return torch.cat([(values[:, :3] / 127.5 - 1) * (alpha / 255), alpha / 127.5 - 1], dim=1)


def _unguided(cfg: SamplerConfig) -> SamplerConfig:
    return SamplerConfig(name=cfg.name, num_steps=cfg.num_steps, guidance_scale=1.0, wrap=cfg.wrap)


def _to_steps(height: int, width: int) -> tuple[tuple[int, int], ...]:
    """Return how to pad to sides the model can draw."""
    return (0, -height % SIDE_STEP_PX), (0, -width % SIDE_STEP_PX), (0, 0)


def _rgba(image_HWC: Bytes) -> Bytes:
    if image_HWC.shape[2] == 4:
        return image_HWC
    return np.dstack([image_HWC, np.full(image_HWC.shape[:2], 255, dtype=np.uint8)])


def _with_alpha(half_HWC: Bytes, native_HWC: Bytes) -> Bytes:
    """Give a half the whole recovery's alpha: only colour is in question."""
    if native_HWC.shape[2] == 3:
        return np.ascontiguousarray(half_HWC[..., :3])
    return np.dstack([half_HWC[..., :3], native_HWC[..., 3]])


def _kept_shape(image_HWC: Bytes, drawn_HWC: Bytes) -> Bytes:
    """Take the model's colour where both are visible."""
    seen = drawn_HWC[..., 3:] > 0
    if image_HWC.shape[2] == 3:
        return np.where(seen, drawn_HWC[..., :3], image_HWC)
    return np.where(
        seen & (image_HWC[..., 3:] > 0),
        np.dstack([drawn_HWC[..., :3], image_HWC[..., 3]]),
        image_HWC,
    )
