"""Kernel distance between two sets of images, with an interval.

KID: the unbiased squared maximum mean discrepancy with the kernel (x.y / D + 1)^3 (Binkowski et
al. 2018, arXiv 1801.01401, section 4). Unlike FID it is unbiased for small sets.

Shape legend: M, N images, D features.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float, Float64, Int64

from pipeline.core.seeds import derive_seed

HALVES = 200
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Distance:
    """A distance with the 95 % confidence interval of its mean."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Sample:
    """Features of a set of images, and which of them belong together."""

    features: Float[np.ndarray, "M D"]
    groups: Sequence[str]
    """Siblings, or images of one prompt: drawn together, since they tell one thing, not several."""

    def half(self, rng: np.random.Generator) -> Int64[np.ndarray, " m"]:
        """Draw the images of half of the groups."""
        names = sorted(set(self.groups))
        drawn = {names[i] for i in rng.permutation(len(names))[: len(names) // 2]}
        return np.array([i for i, group in enumerate(self.groups) if group in drawn])


def kernel_distances(
    sets: Mapping[str, Sample], target: Sample, *, seed: int = 0
) -> dict[str, Distance]:
    """Return each set's distance to the target, and with two sets or more their differences.

    Distances are 0 in expectation for sets drawn alike. The interval: half of the groups of each
    set is drawn ``HALVES`` times without repetition, and how the halves' distances spread is how
    the whole sets' would (delete-half jackknife, Shao and Wu 1989). Near 0, where the statistic
    degenerates, it is too wide. A difference (``A - B``) is taken within the same halves, of the
    target and of sets of the same groups. Deterministic given ``seed``.

    Raises:
        ValueError: A set or the target has fewer than 4 groups.
    """
    for name, sample in (*sets.items(), ("the target", target)):
        if len(set(sample.groups)) < 4:
            raise ValueError(f"a distance needs 4 groups; {name} has {len(set(sample.groups))}")
    kernels = {
        name: tuple(
            _kernel(a.features, b.features)
            for a, b in ((sample, sample), (target, target), (sample, target))
        )
        for name, sample in sets.items()
    }
    rng = np.random.Generator(np.random.Philox(key=derive_seed(seed, "kernel_distance", 0)))
    halves: dict[str, list[float]] = {name: [] for name in sets}
    for _ in range(HALVES):
        j = target.half(rng)
        # Sets of the same groups (the same prompts to two models) lose the same half.
        drawn: dict[tuple[str, ...], Int64[np.ndarray, " m"]] = {}
        for name, sample in sets.items():
            key = tuple(sample.groups)
            i = drawn[key] if key in drawn else drawn.setdefault(key, sample.half(rng))
            left, right, across = kernels[name]
            halves[name].append(
                _mmd2(left[np.ix_(i, i)], right[np.ix_(j, j)], across[np.ix_(i, j)])
            )
    values = {name: _mmd2(*kernel) for name, kernel in kernels.items()}
    found = {name: _around(values[name], np.array(halves[name])) for name in sets}
    for a, b in combinations(sets, 2):
        spread = np.array(halves[a]) - np.array(halves[b])
        found[f"{a} - {b}"] = _around(values[a] - values[b], spread)
    return found


def _around(value: float, halves: Float64[np.ndarray, " h"]) -> Distance:
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
