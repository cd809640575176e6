"""Kernel distance between two sets of images, with an interval.

KID: the unbiased squared maximum mean discrepancy with the kernel (x.y / D + 1)^3 (Binkowski et
al. 2018, arXiv 1801.01401, section 4). Unlike FID it is unbiased for small sets.

Shape legend: M, N images, D features, k everyone and the halves.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float, Float64, Int64

from eval.intervals import LEVEL, MIN_GROUPS, Estimate, middle
from eval.metric import MetricInfo, Scope
from pipeline.core.seeds import derive_seed

HALVES = 200
ROWS = 256

Kept = Float64[np.ndarray, "_ k"]

METRICS = (
    MetricInfo(
        name="kid_lite0",
        unit="",
        higher_is_better=False,
        scope=Scope.set,
        formula="unbiased squared MMD with the kernel (x.y / D + 1)^3; D = 1,280 features",
        source="Binkowski et al. 2018, arXiv 1801.01401, section 4; EfficientNet-Lite0 features",
        needs="the eval extra",
    ),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """Features of a set of images, and which of them belong together."""

    features: Float[np.ndarray, "M D"]
    groups: Sequence[str]
    """Siblings, or images of one prompt: drawn together, since they tell one thing, not several."""

    @property
    def num_groups(self) -> int:
        """Things that the set tells."""
        return len(set(self.groups))

    def distance(self, value: float, low: float, high: float) -> Estimate:
        """Return a distance of this set to another."""
        return Estimate(
            value=value, low=low, high=high, num=len(self.groups), num_groups=self.num_groups
        )

    def half(self, rng: np.random.Generator) -> Int64[np.ndarray, " m"]:
        """Draw the images of half of the groups."""
        names = sorted(set(self.groups))
        drawn = {names[i] for i in rng.permutation(len(names))[: len(names) // 2]}
        return np.array([i for i, group in enumerate(self.groups) if group in drawn])


def kernel_distances(
    sets: Mapping[str, Sample], target: Sample, *, seed: int = 0
) -> dict[str, Estimate]:
    """Return each set's distance to the target, and with two sets or more their differences.

    Distances are 0 in expectation for sets drawn alike. The interval: half of the groups of each
    set is drawn ``HALVES`` times without repetition, and how the halves' distances spread is how
    the whole sets' would (delete-half jackknife, Shao and Wu 1989). Near 0, where the statistic
    degenerates, it is too wide. A difference (``A - B``) is taken within the same halves, of the
    target and of sets of the same groups. Deterministic given ``seed``.

    Raises:
        ValueError: A set or the target has fewer than ``MIN_GROUPS`` groups.
    """
    for name, sample in (*sets.items(), ("the target", target)):
        if sample.num_groups < MIN_GROUPS:
            raise ValueError(
                f"a distance needs {MIN_GROUPS} groups; {name} has {sample.num_groups}"
            )
    rng = np.random.Generator(np.random.Philox(key=derive_seed(seed, "kernel_distance", 0)))
    kept, kept_of_target = _halves(sets, target, rng)
    within_target = _within(target, kept_of_target)
    columns: dict[str, Float64[np.ndarray, " k"]] = {}
    of = dict(sets)
    for name, sample in sets.items():
        across = _sums(sample, target, kept[name], kept_of_target)
        across /= kept[name].sum(axis=0) * kept_of_target.sum(axis=0)
        columns[name] = _within(sample, kept[name]) + within_target - 2 * across
    for a, b in combinations(sets, 2):
        columns[f"{a} - {b}"] = columns[a] - columns[b]
        of[f"{a} - {b}"] = min(sets[a], sets[b], key=lambda sample: sample.num_groups)
    return {name: _around(of[name], column) for name, column in columns.items()}


def _halves(
    sets: Mapping[str, Sample], target: Sample, rng: np.random.Generator
) -> tuple[dict[str, Kept], Kept]:
    """Return who is in: column 0 everyone, then one half a column."""
    kept = {name: np.ones((len(s.groups), HALVES + 1)) for name, s in sets.items()}
    kept_of_target = np.ones((len(target.groups), HALVES + 1))
    for column in range(1, HALVES + 1):
        kept_of_target[:, column] = _indicator(target, target.half(rng))
        # Sets of the same groups (the same prompts to two models) lose the same half.
        drawn: dict[tuple[str, ...], Float64[np.ndarray, " M"]] = {}
        for name, sample in sets.items():
            key = tuple(sample.groups)
            if key not in drawn:
                drawn[key] = _indicator(sample, sample.half(rng))
            kept[name][:, column] = drawn[key]
    return kept, kept_of_target


def _indicator(sample: Sample, indices: Int64[np.ndarray, " m"]) -> Float64[np.ndarray, " M"]:
    found = np.zeros(len(sample.groups))
    found[indices] = 1
    return found


def _around(sample: Sample, column: Float64[np.ndarray, " k"]) -> Estimate:
    value, centre = float(column[0]), float(column[1:].mean())
    low, high = middle(column[1:], LEVEL)
    return sample.distance(value, value + (low - centre), value + (high - centre))


def _within(sample: Sample, kept: Kept) -> Float64[np.ndarray, " k"]:
    """Return each column's mean kernel of two different images of one set."""
    features = sample.features.astype(np.float64)
    own = (np.square(features).sum(axis=1) / features.shape[1] + 1) ** 3
    count = kept.sum(axis=0)
    mean: Float64[np.ndarray, " k"] = _sums(sample, sample, kept, kept) - own @ kept
    mean /= count * (count - 1)
    return mean


def _sums(
    left: Sample, right: Sample, kept_left: Kept, kept_right: Kept
) -> Float64[np.ndarray, " k"]:
    """Return each column's sum of the kernel over the pairs that are in.

    Some rows of the kernel at a time: whole, it is 800 MB for 10,000 images.
    """
    ours, theirs = (side.features.astype(np.float64) for side in (left, right))
    sums = np.zeros(kept_left.shape[1])
    for start in range(0, len(ours), ROWS):
        rows = slice(start, start + ROWS)
        kernel = (ours[rows] @ theirs.T / ours.shape[1] + 1) ** 3
        sums += np.einsum("mk,mk->k", kept_left[rows], kernel @ kept_right)
    return sums
