"""The learning rate as a pure function of images seen."""

import math

from train.conf import LrSchedule, OptimConfig


def learning_rate(num_images: int, *, total_images: int, cfg: OptimConfig) -> float:
    """Return the rate of the step that begins at ``num_images``.

    Linear from 0 over ``warmup_images``, then constant, or a half cosine down to ``min_lr_ratio``
    of the peak at ``total_images`` (Loshchilov and Hutter 2017, arXiv 1608.03983).
    """
    if num_images < cfg.warmup_images:
        return cfg.lr * num_images / cfg.warmup_images
    if cfg.schedule is LrSchedule.constant:
        return cfg.lr
    decay_images = max(1, total_images - cfg.warmup_images)
    progress = min(1.0, (num_images - cfg.warmup_images) / decay_images)
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    return cfg.lr * (cfg.min_lr_ratio + (1 - cfg.min_lr_ratio) * cosine)
