"""Sequences of pictures cut into batches of one size, so that memory does not grow with them."""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Int64, UInt8

BATCH_PX = 2**17
"""Pixels in one batch: 32 pictures of 64x64, and no faster with more on a CPU."""

Picture = UInt8[np.ndarray, "_ _ 4"]
Indices = Int64[np.ndarray, " n"]


def factor(height: int, width: int, at_least_px: int) -> int:
    """Return the least whole number that enlarges the short side to ``at_least_px``."""
    return -(-at_least_px // min(height, width))


def batches(
    images: Sequence[Picture], *, at_least_px: int, most_px: int = BATCH_PX
) -> Iterator[Indices]:
    """Cut a sequence into batches of pictures of one size.

    A sequence that reads its pictures when asked for them is never wholly in memory.

    Args:
        images: Straight RGBA; sizes may differ.
        at_least_px: The short side that pictures will be enlarged to.
        most_px: Pixels of a batch, enlarged; a larger picture is a batch of its own.

    Yields:
        Indices of a batch's pictures; each index comes once.
    """
    sizes: dict[tuple[int, ...], list[int]] = {}
    total = 0
    for index in range(len(images)):
        shape = images[index].shape
        area = shape[0] * shape[1] * factor(shape[0], shape[1], at_least_px) ** 2
        if sizes and total + area > most_px:
            yield from (np.array(batch) for batch in sizes.values())
            sizes, total = {}, 0
        sizes.setdefault(shape, []).append(index)
        total += area
    yield from (np.array(batch) for batch in sizes.values())


def pairs(
    left: Sequence[Picture], right: Sequence[Picture], *, at_least_px: int
) -> Iterator[tuple[Indices, list[Picture], list[Picture]]]:
    """Cut two sequences into batches of pairs of one size.

    Raises:
        ValueError: The sequences are not equally long, or a pair's sizes differ.
    """
    if len(left) != len(right):
        raise ValueError(f"{len(left)} pictures cannot be paired with {len(right)}")
    for indices in batches(left, at_least_px=at_least_px):
        ones, others = [left[i] for i in indices], [right[i] for i in indices]
        for one, other in zip(ones, others, strict=True):
            if one.shape != other.shape:
                raise ValueError(f"sizes differ: {one.shape[:2]} and {other.shape[:2]}")
        yield indices, ones, others
