"""Do raters agree beyond chance: Krippendorff's alpha, with ratings missing where they are.

Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), University of Pennsylvania,
sections C and D: with coincidences o_ck = sum_u n_uc (n_uk - [c=k]) / (m_u - 1) over units that two
or more rated, their margins n_c and total n,

    alpha = 1 - (n - 1) sum_ck o_ck d_ck / sum_ck n_c n_k d_ck

with d_ck = (c - k)^2 for an interval scale and (n_c/2 + n_between + n_k/2)^2 for an ordinal one. 1
is agreement, 0 is chance, below 0 is contradiction. Krippendorff asks for 0.8, and 0.667 for
tentative conclusions (Content Analysis, 2nd ed. 2004, p. 241).

Shape legend: B draws, R raters, U units, V grades that can be given.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from jaxtyping import Float64

from eval.rubric.resample import Draws
from eval.told import Interval


class Level(Enum):
    """What differences between grades mean."""

    ordinal = "ordinal"
    """Order alone."""
    interval = "interval"
    """Steps between grades are alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Krippendorff's alpha of one criterion."""

    criterion: str
    level: Level
    alpha: Interval
    num_shared: int
    """Pictures or pairs that two raters or more answered."""


def agree(
    answers: Float64[np.ndarray, "R U"],
    grades: Sequence[int],
    *,
    criterion: str,
    level: Level,
    draws: Draws,
) -> Agreement:
    """Return alpha of one table of answers."""
    return Agreement(
        criterion=criterion,
        level=level,
        alpha=draws.interval(alphas(answers, grades, level=level, draws=draws), answers),
        num_shared=int((np.isfinite(answers).sum(axis=0) > 1).sum()),
    )


def alpha(table: Float64[np.ndarray, "R U"], grades: Sequence[int], *, level: Level) -> float:
    """Return alpha of a table with NaN where a rater gave no grade.

    Args:
        table: Grades, each one of ``grades`` or NaN.
        grades: All that can be given, in order.
        level: Of measurement.

    Returns:
        At most 1; NaN where no two raters share a unit, or all that they gave is one grade.
    """
    shared = coincidences(table, grades)
    return float(_alpha(shared.sum(axis=0)[None], grades, level)[0])


def alphas(
    table: Float64[np.ndarray, "R U"], grades: Sequence[int], *, level: Level, draws: Draws
) -> Float64[np.ndarray, " B"]:
    """Return alpha of each draw of units; raters stay who they are.

    A rater who is drawn twice would agree with himself.
    """
    shared = coincidences(table, grades)
    drawn = np.einsum("bu,ucd->bcd", draws.units, shared)
    return _alpha(drawn, grades, level)


def coincidences(
    table: Float64[np.ndarray, "R U"], grades: Sequence[int]
) -> Float64[np.ndarray, "U V V"]:
    """Return each unit's pairs of grades, o_ck before they are summed over units."""
    counts = (table[:, :, None] == np.array(grades, dtype=np.float64)).sum(axis=0)
    counts = counts.astype(np.float64)
    pairs = counts[:, :, None] * counts[:, None, :]
    which = np.arange(len(grades))
    pairs[:, which, which] -= counts
    others = counts.sum(axis=1) - 1
    return np.divide(
        pairs, others[:, None, None], out=np.zeros_like(pairs), where=others[:, None, None] > 0
    )


def _alpha(
    shared: Float64[np.ndarray, "B V V"], grades: Sequence[int], level: Level
) -> Float64[np.ndarray, " B"]:
    margins = shared.sum(axis=2)
    total = margins.sum(axis=1)
    distance = _distance(margins, np.array(grades, dtype=np.float64), level)
    observed = (shared * distance).sum(axis=(1, 2))
    expected = (margins[:, :, None] * margins[:, None, :] * distance).sum(axis=(1, 2))
    ratio = np.divide(
        (total - 1) * observed, expected, out=np.full_like(total, np.nan), where=expected > 0
    )
    return 1.0 - ratio


def _distance(
    margins: Float64[np.ndarray, "B V"], grades: Float64[np.ndarray, " V"], level: Level
) -> Float64[np.ndarray, "B V V"]:
    if level is Level.interval:
        square = (grades[:, None] - grades[None, :]) ** 2
        return np.broadcast_to(square, (len(margins), *square.shape))
    # n_c/2 and all before it: the difference of two of these is what lies between them.
    middle = np.cumsum(margins, axis=1) - margins / 2
    return np.square(middle[:, :, None] - middle[:, None, :])
