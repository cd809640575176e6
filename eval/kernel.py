"""Kernel distance between two sets of images, with an interval.

KID: the unbiased squared maximum mean discrepancy with the kernel (x.y / D + 1)^3 (Binkowski et
al. 2018, arXiv 1801.01401, section 4). Unlike FID it is unbiased for small sets.

Shape legend: M, N images, D features.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64

from pipeline.core.seeds import derive_seed

SUBSETS = 200
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Distance:
    """A distance and the interval that repeated draws of the sets would fall into."""

    value: float
    low: float
    high: float


def kernel_distance(
    left: Float[np.ndarray, "M D"], right: Float[np.ndarray, "N D"], *, seed: int = 0
) -> Distance:
    """Return the distance of two sets; 0 in expectation when they are drawn alike.

    The interval: half of each set is drawn ``SUBSETS`` times without repetition; how the halves'
    distances spread is how the whole sets' would (delete-half jackknife, Shao and Wu 1989).
    Deterministic given ``seed``.

    Raises:
        ValueError: A set has fewer than 4 images.
    """
    if min(len(left), len(right)) < 4:
        raise ValueError(f"a distance needs 4 images a set, found {len(left)} and {len(right)}")
    within_left, within_right, across = (
        _kernel(left, left),
        _kernel(right, right),
        _kernel(left, right),
    )
    rng = np.random.Generator(np.random.Philox(key=derive_seed(seed, "kernel_distance", 0)))
    halves = []
    for _ in range(SUBSETS):
        i = rng.permutation(len(left))[: len(left) // 2]
        j = rng.permutation(len(right))[: len(right) // 2]
        halves.append(
            _mmd2(within_left[np.ix_(i, i)], within_right[np.ix_(j, j)], across[np.ix_(i, j)])
        )
    value = _mmd2(within_left, within_right, across)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(halves, [tail, 1 - tail]) - np.mean(halves)
    return Distance(value, float(value + low), float(value + high))


def _kernel(
    left: Float[np.ndarray, "M D"], right: Float[np.ndarray, "N D"]
) -> Float64[np.ndarray, "M N"]:
    products = left.astype(np.float64) @ right.astype(np.float64).T
    kernel: Float64[np.ndarray, "M N"] = (products / left.shape[1] + 1) ** 3
    return kernel


def _mmd2(
    within_left: Float64[np.ndarray, "M M"],
    within_right: Float64[np.ndarray, "N N"],
    across: Float64[np.ndarray, "M N"],
) -> float:
    m, n = across.shape
    left = (within_left.sum() - np.trace(within_left)) / (m * (m - 1))
    right = (within_right.sum() - np.trace(within_right)) / (n * (n - 1))
    return float(left + right - 2 * across.mean())
