"""From the model's pixels to final ones: what a run, or an image's metadata, asks for."""

from collections.abc import Mapping
from typing import Any

from pipeline.generate.png import Pixels
from pipeline.generate.store import Finish


def finisher_of(told: Mapping[str, Any]) -> Finish:
    """Return the finishing that a recipe or an image's metadata describes."""
    scale = int(told["pixel_scale"])
    return lambda images: [(pixels, {}) for pixels in reduce_scale(images, scale)]


def reduce_scale(images: Pixels, scale: int) -> Pixels:
    """Reduce by an integer, nearest neighbour: the pixel in the middle of each cell is kept."""
    middle = scale // 2
    reduced: Pixels = images[:, middle::scale, middle::scale]
    return reduced
