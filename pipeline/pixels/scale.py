"""Enlarging native pixels: nearest neighbour by an integer, or Scale2x, which rounds staircases.

Scale2x are the rules of A. Mazzoleni, 2001 (https://www.scale2x.it/algorithm), the same as EPX of
E. Johnston, LucasArts, 1992. They copy pixels and make no new colour; nothing in them is learned.

Shape legend: H W height width, C channels; K L the same, enlarged.
"""

from enum import Enum

import numpy as np
from jaxtyping import UInt8, UInt32

Image = UInt8[np.ndarray, "H W C"]


class Scaler(Enum):
    """How native pixels become more."""

    nearest = "nearest"
    """Every pixel a square: what pixel art is by definition."""
    scale2x = "scale2x"
    """Rounded staircases; factors 2, 4, 8, ..."""


def enlarge(
    image_HWC: Image, factor: int, scaler: Scaler = Scaler.nearest
) -> UInt8[np.ndarray, "K L C"]:
    """Enlarge by an integer.

    Raises:
        ValueError: The factor is below 1, or no power of two for ``scale2x``.
    """
    if factor < 1:
        raise ValueError(f"enlarge: {factor} is below 1")
    match scaler:
        case Scaler.nearest:
            return image_HWC.repeat(factor, axis=0).repeat(factor, axis=1)
        case Scaler.scale2x:
            if factor & (factor - 1):
                raise ValueError(f"enlarge: {factor} with scale2x; 1, 2, 4, 8, ... are allowed")
            if image_HWC.shape[2] == 4:
                # What cannot be seen is one colour, whichever neighbour it comes from.
                image_HWC = np.where(image_HWC[..., 3:] > 0, image_HWC, np.uint8(0))
            for _ in range(factor.bit_length() - 1):
                image_HWC = _scale2x(image_HWC)
            return image_HWC


def _scale2x(image_HWC: Image) -> UInt8[np.ndarray, "K L C"]:
    height, width, channels = image_HWC.shape
    padded = np.pad(image_HWC, ((1, 1), (1, 1), (0, 0)), mode="edge")
    middle, up, down = padded[1:-1, 1:-1], padded[:-2, 1:-1], padded[2:, 1:-1]
    left, right = padded[1:-1, :-2], padded[1:-1, 2:]
    u, d, w, e = (_key(side) for side in (up, down, left, right))
    out = np.empty((2 * height, 2 * width, channels), dtype=np.uint8)
    # A corner takes the colour its two neighbours share, where the opposite two do not.
    corners = (
        (0, 0, (w == u) & (w != d) & (u != e), left),
        (0, 1, (u == e) & (u != w) & (e != d), right),
        (1, 0, (d == w) & (d != e) & (w != u), left),
        (1, 1, (e == d) & (e != u) & (d != w), right),
    )
    for row, column, takes_HW, colour in corners:
        out[row::2, column::2] = np.where(takes_HW[..., None], colour, middle)
    return out


def _key(image_HWC: Image) -> UInt32[np.ndarray, "H W"]:
    """Return one number a colour."""
    wide = image_HWC.astype(np.uint32)
    key = wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]
    if image_HWC.shape[2] == 3:
        return key
    return key | wide[..., 3] << 24
