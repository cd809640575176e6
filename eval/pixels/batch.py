"""Pictures of one size looked at together, and how many sizes become one answer.

Shape legend: B batch, H W height width, N images.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int32, Shaped, UInt8

from pipeline.pixels.oklab import UNIT, Bytes, to_oklab

PIXELS = 1 << 16
"""Looked at together: 64 pictures of 32 x 32; what is held does not grow with the set."""

Values = dict[str, np.ndarray[Any, np.dtype[np.float64]]]
"""One number an image under each metric's name; NaN where it is undefined."""


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class Batch:
    """Pictures of one size with what most metrics need of them."""

    rgba_BHW4: UInt8[np.ndarray, "B H W 4"]
    lab_BHW3: Float64[np.ndarray, "B H W 3"]
    """OKLab, of hidden colours too."""
    seen_BHW: Bool[np.ndarray, "B H W"]
    """Alpha above 0."""
    packed_BHW: Int32[np.ndarray, "B H W"]
    """Colour as one number, red first; -1 where hidden."""

    @classmethod
    def of(cls, images: Sequence[Bytes]) -> "Batch":
        """Stack pictures of one size, straight RGBA, or RGB that counts as opaque."""
        rgba = np.stack([_rgba(image) for image in images])
        packed = _packed(rgba)
        seen = rgba[..., 3] > 0
        colours, number = np.unique(packed, return_inverse=True)
        lab = _lab(colours)[number.reshape(packed.shape)]
        return cls(
            rgba_BHW4=rgba, lab_BHW3=lab, seen_BHW=seen, packed_BHW=np.where(seen, packed, -1)
        )

    @property
    def visible_px(self) -> Float64[np.ndarray, " B"]:
        """Visible pixels of each picture."""
        return self.seen_BHW.sum(axis=(1, 2)).astype(np.float64)


def in_batches(images: Sequence[Bytes], measure: Callable[[Batch], Mapping[str, Any]]) -> Values:
    """Measure pictures of any sizes, those of one size together; answers in the order given."""
    by_size: dict[tuple[int, ...], list[int]] = {}
    for number, image in enumerate(images):
        by_size.setdefault(image.shape[:2], []).append(number)
    found: Values = {}
    for size, numbers in by_size.items():
        step = max(1, PIXELS // (size[0] * size[1]))
        for start in range(0, len(numbers), step):
            part = numbers[start : start + step]
            for name, values in measure(Batch.of([images[i] for i in part])).items():
                found.setdefault(name, np.full(len(images), np.nan))[part] = values
    return found


def share(
    marked: Shaped[np.ndarray, "B ..."], among: Float64[np.ndarray, " B"]
) -> Float64[np.ndarray, " B"]:
    """Return marked pixels (B, H, W), or their number (B,), over how many there are; NaN for 0."""
    counted = marked.sum(axis=(1, 2)) if marked.ndim == 3 else marked
    parts: Float64[np.ndarray, " B"] = np.where(among > 0, counted / np.maximum(among, 1), np.nan)
    return parts


def steps(
    left_lab: Float64[np.ndarray, "*shape 3"],
    right_lab: Float64[np.ndarray, "*shape 3"],
    left_seen: Bool[np.ndarray, "*shape"],
    right_seen: Bool[np.ndarray, "*shape"],
) -> Float64[np.ndarray, "*shape"]:
    """Return OKLab distances, 1 between visible and hidden pixels, 0 between hidden ones."""
    away = np.sqrt(np.square(left_lab - right_lab).sum(axis=-1))
    apart: Float64[np.ndarray, "*shape"] = np.where(
        left_seen & right_seen, away, (left_seen != right_seen).astype(np.float64)
    )
    return apart


def _packed(rgba: UInt8[np.ndarray, "B H W 4"]) -> Int32[np.ndarray, "B H W"]:
    wide = rgba.astype(np.int32)
    packed: Int32[np.ndarray, "B H W"] = wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]
    return packed


def _lab(packed: Int32[np.ndarray, " n"]) -> Float64[np.ndarray, "n 3"]:
    """Return OKLab of distinct colours: art has few, and a cube root costs more than sorting."""
    channels = [packed >> 16, packed >> 8 & 255, packed & 255]
    rgb = np.stack(channels, axis=-1).astype(np.uint8)
    lab: Float64[np.ndarray, "n 3"] = to_oklab(torch.from_numpy(rgb)).numpy() / UNIT
    return lab


def _rgba(image: Bytes) -> Bytes:
    if image.ndim != 3 or image.shape[2] not in {3, 4} or image.dtype != np.uint8:
        raise ValueError(f"a picture is uint8 (H, W, 3 or 4), not {image.dtype} {image.shape}")
    if image.shape[2] == 4:
        return image
    return np.dstack([image, np.full(image.shape[:2], 255, dtype=np.uint8)])
