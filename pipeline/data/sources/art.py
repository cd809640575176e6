"""What a source yields: one piece of raw art, or the reason why a file gave none."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
"""Straight-alpha RGBA bytes (H, W, 4)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Art:
    """One image as it was found."""

    name: str
    """Unique in its source, such as a path below its folder."""
    pixels: Pixels
    caption: str
    licence: str
    attribution: str
    source: str
    """What to call the source in the ledger."""
    group: str
    """Images of one group never straddle train and validation."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejected:
    """A file that gave no image, and why."""

    name: str
    reason: str


Found = Iterator[Art | Rejected]


class Unusable(Exception):  # noqa: N818
    """A file's pixels cannot be used; the message is the reason."""


def read_pixels(data: bytes | Path, *, max_px: int) -> Pixels:
    """Decode an image to RGBA bytes; its size is checked in the header before anything is decoded.

    Raises:
        Unusable: It is no image, is cut off, or is too large.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(BytesIO(data) if isinstance(data, bytes) else data) as image:
                if max(image.size) > max_px:
                    width, height = image.size
                    raise Unusable(f"{width}x{height} is larger than max_input_px={max_px}")
                if image.mode.startswith(("I", "F")):
                    raise Unusable(f"mode {image.mode}: more than 8 bits a channel")
                return np.array(image.convert("RGBA"))
    except UnidentifiedImageError:
        raise Unusable("not an image that can be read") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise Unusable(f"cannot be decoded: {error}") from None
