"""Intervals over both pictures and raters: other pictures, other people, what would the mean be?

The pigeonhole bootstrap (Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1 (2007),
386-411): raters and pictures are drawn with replacement, each by itself, and a grade counts as
often as its rater times its picture was drawn. Somewhat too wide rather than too narrow. With one
rater the interval is over pictures alone.

Shape legend: B draws, R raters, U units (pictures, names or pairs).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from eval.intervals import LEVEL, middle
from eval.told import Interval
from pipeline.core.seeds import derive_seed

LEAST_GROUPS = 6
"""Pictures or prompts that an interval needs: that five of five go one way is chance in 2 / 2^5 =
6 % of cases, more than the 5 % the interval leaves; of six it is 3 %."""


@dataclass(frozen=True, slots=True)
class Draws:
    """How often each rater and each unit was drawn; the first row is each once: the data."""

    raters: Float64[np.ndarray, "B R"]
    units: Float64[np.ndarray, "B U"]
    member: Int64[np.ndarray, " U"]
    """Number of each unit's group."""

    def interval(
        self, values: Float64[np.ndarray, " B"], of: Float64[np.ndarray, "R U"]
    ) -> Interval:
        """Summarise a figure of each draw by percentiles; draws where it is undefined are left out.

        Args:
            values: The figure, of the data first.
            of: What it is a figure of, NaN where there is no answer: answers to fewer than
                ``LEAST_GROUPS`` groups give no interval.
        """
        num_groups = len(np.unique(self.member[np.isfinite(of).any(axis=0)]))
        first, rest = values[0], values[1:][np.isfinite(values[1:])]
        if not np.isfinite(first):
            return Interval(value=None)
        if num_groups < LEAST_GROUPS:
            return Interval(value=float(first))
        return Interval.of(first, *middle(rest, LEVEL))


def draw(num_raters: int, groups: Sequence[str], *, num_draws: int, seed: int) -> Draws:
    """Draw raters, and units by their groups: pictures of one prompt come and go together.

    Args:
        num_raters: From 1 up.
        groups: Each unit's group; at least one unit.
        num_draws: Draws besides the data themselves.
        seed: Decides them.
    """
    names, member = np.unique(np.array(groups), return_inverse=True)
    rng = np.random.Generator(np.random.Philox(key=derive_seed(seed, "rubric_draws", 0)))
    raters = _counts(rng, num_raters, num_draws)
    drawn = _counts(rng, len(names), num_draws)
    return Draws(raters, np.ascontiguousarray(drawn[:, member]), member.astype(np.int64))


def means(table: Float64[np.ndarray, "R U"], draws: Draws) -> Float64[np.ndarray, " B"]:
    """Return each draw's mean over units of the mean over raters; NaN is not rated.

    Every unit counts alike, however many rated it.
    """
    present = np.isfinite(table)
    sums = draws.raters @ np.where(present, table, 0.0)
    counts = draws.raters @ present.astype(np.float64)
    weights = draws.units * (counts > 0)
    with np.errstate(invalid="ignore"):
        of_units = np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0)
        found: Float64[np.ndarray, " B"] = (of_units * weights).sum(axis=1) / weights.sum(axis=1)
    return found


def totals(table: Float64[np.ndarray, "R U"], draws: Draws) -> Float64[np.ndarray, " B"]:
    """Return each draw's sum over raters and units; NaN is nothing."""
    filled = np.where(np.isfinite(table), table, 0.0)
    found: Float64[np.ndarray, " B"] = ((draws.raters @ filled) * draws.units).sum(axis=1)
    return found


def _counts(rng: np.random.Generator, size: int, num_draws: int) -> Float64[np.ndarray, "B size"]:
    drawn = rng.multinomial(size, np.full(size, 1 / size), size=num_draws)
    return np.concatenate([np.ones((1, size)), drawn.astype(np.float64)])
