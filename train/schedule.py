"""The learning rate as a pure function of images seen."""

import math

from train.conf import LrScaling, LrSchedule, OptimConfig


def peak_rate(cfg: OptimConfig, *, batch_size: int) -> float:
    """Return ``lr`` as it is meant for ``batch_size`` images a step."""
    ratio = batch_size / cfg.reference_batch_size
    factors = {LrScaling.none: 1.0, LrScaling.linear: ratio, LrScaling.sqrt: math.sqrt(ratio)}
    return cfg.lr * factors[cfg.scale_lr]


def learning_rate(
    num_images: int, *, total_images: int, batch_size: int, cfg: OptimConfig
) -> float:
    """Return the rate of the step that begins at ``num_images``.

    Linear from 0 over ``warmup_images``, then constant, or a half cosine down to ``min_lr_ratio``
    of the peak at ``total_images`` (Loshchilov and Hutter 2017, arXiv 1608.03983).
    """
    peak = peak_rate(cfg, batch_size=batch_size)
    if num_images < cfg.warmup_images:
        return peak * num_images / cfg.warmup_images
    if cfg.schedule is LrSchedule.constant:
        return peak
    decay_images = max(1, total_images - cfg.warmup_images)
    progress = min(1.0, (num_images - cfg.warmup_images) / decay_images)
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    return peak * (cfg.min_lr_ratio + (1 - cfg.min_lr_ratio) * cosine)
