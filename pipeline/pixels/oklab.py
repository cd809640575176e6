"""sRGB bytes to OKLab and back, as integers, so that no result depends on rounding.

OKLab is from B. Ottosson, "A perceptual color space for image processing", 2020
(https://bottosson.github.io/posts/oklab/). Lab values are whole numbers of 1/16384: fine enough to
tell all bytes apart, small enough that squared distances fit 32 bits, and the same on every device
and in every batch.

Shape legend: B batch, H W height width, N colours, K palette colours.
"""

import functools
import itertools
from typing import Any

import numpy as np
import torch
from jaxtyping import Int32, UInt8
from torch import Tensor

Bytes = np.ndarray[Any, np.dtype[np.uint8]]

UNIT = 1 << 14
"""OKLab 1.0 in our whole numbers."""
NEVER = 2**31 - 1
"""A squared distance no two colours have."""
CHUNK = 1 << 22
"""Distances computed at once: 16 MiB."""

RGB_TO_LMS = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
LMS_TO_LAB = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)


NEIGHBOURS = np.array(sorted(itertools.product((0, -1, 1), repeat=3), key=np.count_nonzero))
"""Steps of a level in each channel, none first."""


@functools.cache
def _linear() -> Tensor:
    """Return linear light in 0..1 for each sRGB byte (IEC 61966-2-1)."""
    byte = torch.arange(256, dtype=torch.float64) / 255
    return torch.where(byte <= 0.04045, byte / 12.92, ((byte + 0.055) / 1.055) ** 2.4)


def to_oklab(rgb: UInt8[Tensor, "*shape 3"]) -> Int32[Tensor, "*shape 3"]:
    """Turn sRGB bytes into OKLab in units of 1/16384."""
    linear = _linear().to(rgb.device)[rgb.long()]
    red, green, blue = linear.unbind(-1)
    # Sums written out: a matrix product may round differently with the size of the batch.
    cones = [(m[0] * red + m[1] * green + m[2] * blue) ** (1 / 3) for m in RGB_TO_LMS]
    lab = [m[0] * cones[0] + m[1] * cones[1] + m[2] * cones[2] for m in LMS_TO_LAB]
    return (torch.stack(lab, dim=-1) * UNIT).round().to(torch.int32)


def from_oklab(lab: np.ndarray[Any, np.dtype[np.float64]]) -> Bytes:
    """Turn OKLab (..., 3), unit 1.0, into the nearest sRGB bytes; what lies outside is clipped.

    What ``to_oklab`` made of bytes comes back as those bytes.
    """
    cones = (lab @ np.linalg.inv(np.array(LMS_TO_LAB)).T) ** 3
    linear = np.clip(cones @ np.linalg.inv(np.array(RGB_TO_LMS)).T, 0, 1)
    srgb = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    rounded = np.clip(np.round(srgb * 255), 0, 255).astype(np.int64)
    # Beside a bright channel a level of a dark one is less than half a unit, so the bytes that
    # were meant may be one level off; they are known by having this very OKLab.
    around = np.clip(rounded[..., None, :] + NEIGHBOURS, 0, 255).astype(np.uint8)
    units = to_oklab(torch.from_numpy(around)).numpy()
    meant = (units == np.round(lab * UNIT)[..., None, :]).all(axis=-1)
    index = meant.argmax(axis=-1)[..., None, None]
    found: Bytes = np.take_along_axis(around, index, axis=-2)[..., 0, :]
    return found


def squared(step: float) -> int:
    """Return an OKLab distance as the square of our whole numbers, for comparing."""
    return round((step * UNIT) ** 2)


def distance2(left: Int32[Tensor, "*a 3"], right: Int32[Tensor, "*b 3"]) -> Tensor:
    """Return squared distances, broadcast, int32. The largest possible one fits."""
    difference = left - right
    return (difference * difference).sum(dim=-1, dtype=torch.int32)


def nearest(colours: Int32[Tensor, "N 3"], palette: Int32[Tensor, "K 3"]) -> tuple[Tensor, Tensor]:
    """Find the nearest palette colour of each colour, the first of equals.

    Returns:
        Index into the palette and squared distance, each (N,). Memory is bounded by ``CHUNK``.
    """
    index = torch.empty(len(colours), dtype=torch.int64, device=colours.device)
    least = torch.empty(len(colours), dtype=torch.int32, device=colours.device)
    step = max(1, CHUNK // len(palette))
    order = torch.arange(len(palette), device=colours.device)
    for start in range(0, len(colours), step):
        part = slice(start, start + step)
        away = distance2(colours[part, None], palette[None])
        least[part] = away.min(dim=1).values
        # `min` may return any of equals; the first is asked for.
        index[part] = torch.where(away == least[part, None], order, len(palette)).min(dim=1).values
    return index, least
