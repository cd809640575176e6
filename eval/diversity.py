"""Whether a set repeats itself, and whether it repeats what the model was trained on.

Shape legend: M, N images; H W height width; R C rows and columns of a block.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8, UInt64

from eval.metric import MetricInfo, Scope
from eval.neighbours import nearest
from pipeline.generate.gates import HASH_BITS, looks_of

QUANTILES = (0.01, 0.1, 0.5, 0.9)
HISTOGRAM_STEP = 0.05
NUM_STEPS = 8
NEAR_BITS = 8
"""Of 256. Pictures whose hashes differ in no more are looked at closer."""
NEAR_RMS = 0.1
"""Twins differ by no more: one palette step, a few pixels; a sprite recoloured is another one."""
WORDS = HASH_BITS // 64
ROWS = 64
"""Compared with all others at once."""

METRICS = (
    MetricInfo(
        name="near_duplicate_share",
        unit="",
        higher_is_better=False,
        scope=Scope.set,
        formula=(
            "images with another of the set within 8 bits of their 256-bit difference hash and 0.1"
            " root mean square of premultiplied RGBA over pixels visible in either / images, 0..1;"
            " grows with the set: compare sets of one size"
        ),
        source="Krawetz 2013 (difference hash); pipeline/generate/gates.py",
    ),
    MetricInfo(
        name="nearest_training_rms",
        unit="",
        higher_is_better=None,
        scope=Scope.image,
        formula=(
            "root mean square over pixels and channels of premultiplied RGBA in 0..1 to the nearest"
            " training image, as it is or mirrored, 0..1; beside that of held-out art"
        ),
        source="this project; eval/neighbours.py",
        needs="the training images, of the same size",
    ),
    MetricInfo(
        name="nearer_than_held_out_share",
        unit="",
        higher_is_better=False,
        scope=Scope.set,
        formula=(
            "images nearer to training art than the nearest hundredth of held-out art is"
            " / images, 0..1; 0.01 where nothing is memorised"
        ),
        source="this project, after Meehan, Chaudhuri and Dasgupta 2020 (data-copying)",
        needs="training and held-out images, of the same size",
    ),
    MetricInfo(
        name="num_exact_copies",
        unit="images",
        higher_is_better=False,
        scope=Scope.set,
        formula="images whose nearest_training_rms is 0",
        source="this project",
        needs="the training images, of the same size",
    ),
)

Images = Sequence[UInt8[np.ndarray, "_ _ 4"]]


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class Memorisation:
    """How near a set lies to training art, beside how near held-out art lies."""

    drawn_rms: Float[np.ndarray, " M"]
    """Of each image."""
    nearest_index: Int[np.ndarray, " M"]
    """Which training image is its nearest."""
    held_out_rms: Float[np.ndarray, " N"]

    @property
    def nearer_than_held_out_share(self) -> float:
        """Share of the set nearer than the nearest hundredth of held-out art; NaN without art."""
        if not len(self.drawn_rms) or not len(self.held_out_rms):
            return float("nan")
        return float((self.drawn_rms < np.quantile(self.held_out_rms, QUANTILES[0])).mean())

    @property
    def num_exact_copies(self) -> int:
        """Images that are a training image, mirrored or not."""
        return int((self.drawn_rms == 0).sum())


def memorisation(drawn: Images, *, held_out: Images, train: Images) -> Memorisation:
    """Find the nearest training image of each image drawn and held out.

    Raises:
        ValueError: There are no training images, or sizes differ.
    """
    sizes = {image.shape for images in (drawn, held_out, train) for image in images}
    if not len(train) or len(sizes) > 1:
        raise ValueError(f"nearest training images: {len(train)} of them, sizes {sorted(sizes)}")
    near, which = _nearest(drawn, train)
    return Memorisation(
        drawn_rms=near, nearest_index=which, held_out_rms=_nearest(held_out, train)[0]
    )


def distance_quantiles(values: Float[np.ndarray, " N"]) -> dict[str, float]:
    """Return the 1st, 10th, 50th and 90th percentile under ``p1`` to ``p90``; NaN for no values."""
    return {
        f"p{q:.0%}"[:-1]: float(np.quantile(values, q)) if len(values) else float("nan")
        for q in QUANTILES
    }


def distance_histogram(values: Float[np.ndarray, " N"]) -> list[int]:
    """Count distances in steps of 0.05 from 0; the last of 8 holds all above."""
    steps = np.minimum(values // HISTOGRAM_STEP, NUM_STEPS - 1).astype(int)
    return np.bincount(steps, minlength=NUM_STEPS).tolist()


def near_duplicates(
    images: Sequence[UInt8[np.ndarray, "_ _ 4"]],
    *,
    max_bits: int = NEAR_BITS,
    max_rms: float = NEAR_RMS,
) -> Bool[np.ndarray, " N"]:
    """Mark images that have a twin: near by hash, and then by pixels.

    The hash alone takes one thin sword for another: of 8 x 8 cells few are not empty. So where
    hashes differ in ``max_bits`` or fewer, the root mean square over channels of premultiplied
    RGBA in 0..1, over pixels visible in either, must be ``max_rms`` or less. Unlike the gates,
    which keep the first of each, this does not depend on the order. O(N^2) of 32-byte comparisons:
    10,000 images are seconds; memory grows with N alone.
    """
    hashes = np.array([_words(looks_of(image).hash) for image in images], dtype=np.uint64)
    found = np.zeros(len(images), dtype=np.bool_)
    for start in range(0, len(hashes), ROWS):
        bits = _differing(hashes[start : start + ROWS], hashes)
        # An image is no twin of itself.
        own = np.arange(len(bits))
        bits[own, start + own] = HASH_BITS + 1
        for number, row in enumerate(bits, start=start):
            near = np.flatnonzero(row <= max_bits)
            near = near[np.argsort(row[near], kind="stable")]
            found[number] = any(_apart(images[number], images[i]) <= max_rms for i in near.tolist())
    return found


def _apart(left: UInt8[np.ndarray, "_ _ 4"], right: UInt8[np.ndarray, "_ _ 4"]) -> float:
    """Return the root mean square over pixels visible in either; infinite for unlike sizes."""
    if left.shape != right.shape:
        return float("inf")
    either = (left[..., 3] > 0) | (right[..., 3] > 0)
    if not either.any():
        return 0.0
    sides = [side[either].astype(np.float64) / 255 for side in (left, right)]
    for side in sides:
        side[:, :3] *= side[:, 3:]
    return float(np.sqrt(np.square(sides[0] - sides[1]).mean()))


def _nearest(
    images: Images, train: Images
) -> tuple[Float[np.ndarray, " M"], Int[np.ndarray, " M"]]:
    if not len(images):
        return np.zeros(0), np.zeros(0, dtype=np.int64)
    return nearest(images, train)


def _words(value: int) -> list[int]:
    return [value >> 64 * number & (1 << 64) - 1 for number in range(WORDS)]


def _differing(
    some: UInt64[np.ndarray, "R 4"], others: UInt64[np.ndarray, "C 4"]
) -> Int[np.ndarray, "R C"]:
    counted: Int[np.ndarray, "R C"] = np.zeros((len(some), len(others)), dtype=np.int16)
    for word in range(WORDS):
        counted += np.bitwise_count(some[:, word, None] ^ others[:, word])
    return counted
