"""Art that was enlarged by an integer goes back to its native grid."""

import math
from typing import Any

import numpy as np
from jaxtyping import UInt8


def enlargement(pixels_HWC: UInt8[np.ndarray, "H W C"]) -> int:
    """Return the largest integer k for which the image is an exact k-fold nearest enlargement.

    Colour changes of an enlarged image lie on multiples of k only, so k is the greatest common
    divisor of the sides and of all places where a row or column differs from the one before.
    An image of one colour fits any grid: the common divisor of its sides.
    """
    height, width = pixels_HWC.shape[:2]
    places: list[int] = []
    for axis in (0, 1):
        changed = np.any(np.diff(pixels_HWC, axis=axis) != 0, axis=(1 - axis, 2))
        places += [int(i) + 1 for i in np.flatnonzero(changed)]
    return math.gcd(height, width, *places)


def to_native(
    pixels_HWC: UInt8[np.ndarray, "H W C"], *, size_px: int
) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Undo an exact integer enlargement of a ``size_px`` image; return anything else as it is.

    Only the factor that leads to ``size_px`` is undone: a native sprite may well be made of 2x2
    blocks and must not shrink.
    """
    factor, rest = divmod(pixels_HWC.shape[0], size_px)
    if rest or factor < 2 or enlargement(pixels_HWC) % factor:
        return pixels_HWC
    return np.ascontiguousarray(pixels_HWC[::factor, ::factor])
