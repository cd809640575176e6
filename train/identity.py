"""What a run may not change between save and resume."""

from collections.abc import Sequence
from dataclasses import MISSING, fields
from typing import Any

from pipeline.data.dataset import Dataset
from train.conf import TrainConfig

ALWAYS = {
    "lora": ("rank", "alpha", "targets", "dropout", "rslora", "dora", "text_encoder"),
    "loss": ("prediction", "min_snr_gamma", "noise_offset"),
    "optim": (
        *("lr", "beta1", "beta2", "eps", "weight_decay", "warmup_images", "schedule"),
        *("min_lr_ratio", "max_grad_norm"),
    ),
    "data": (
        *("pixel_scale", "background", "background_rgb", "flip", "caption_dropout"),
        *("recolour", "recolour_word", "trigger"),
    ),
}
WHERE_SET = {
    "lora": ("method", "rank_pattern", "lr_ratio_b"),
    "loss": ("weighting", "zero_terminal_snr", "pyramid_noise", "transparent_weight"),
    "optim": ("name", "scale_lr", "reference_batch_size", "lr_pattern"),
    "data": ("hue", "shuffle_tags", "keep_tags"),
}
"""Settings that came later: told where they are not at their default, so that a checkpoint from
before they were there still fits."""


def identity(
    cfg: TrainConfig, *, model_digest: str, dataset: Dataset, more: Sequence[str]
) -> dict[str, str]:
    """Return dotted keys and values of what a run may not change; not the number of ranks.

    Args:
        cfg: The run's settings.
        model_digest: The base's.
        dataset: The first data set.
        more: What the others are, see ``join_sets``.
    """
    fixed = {
        "model": model_digest,
        "data": dataset.digest,
        "data.flip_ok": dataset.flip_ok,
        "seed": cfg.seed,
        "adapter": cfg.adapter.value,
        "batch_size": cfg.batch_size,
        "num_images": cfg.num_images,
        "ema_half_life_images": cfg.ema_half_life_images,
        "precision": cfg.precision.value,
        "dropout": cfg.dropout,
    }
    if more:
        fixed |= {"data.weight": cfg.data.weight, "data.more": "; ".join(more)}
    for prefix, keys in ALWAYS.items():
        part = getattr(cfg, prefix)
        fixed |= {f"{prefix}.{key}": getattr(part, key) for key in keys}
        defaults = _defaults(part)
        fixed |= {
            f"{prefix}.{key}": getattr(part, key)
            for key in WHERE_SET[prefix]
            if getattr(part, key) != defaults[key]
        }
    return {key: str(getattr(value, "value", value)) for key, value in fixed.items()}


def _defaults(part: Any) -> dict[str, Any]:
    return {
        field.name: field.default if field.default_factory is MISSING else field.default_factory()
        for field in fields(part)
    }
