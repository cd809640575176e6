"""How strong each run is, from which of two pictures was preferred: Bradley-Terry with ties.

Davidson, "On extending the Bradley-Terry model to accommodate ties in paired comparison
experiments", JASA 65 (1970), 317-328: with strengths p and a readiness for ties v,

    P(i beats j) = p_i / D,   P(tie) = v sqrt(p_i p_j) / D,   D = p_i + p_j + v sqrt(p_i p_j)

fitted by the minorisation of Hunter, "MM algorithms for generalized Bradley-Terry models", Annals
of Statistics 32 (2004), 384-406. Of two runs it is log(wins / losses): ties say nothing of who is
stronger. A run that always wins has no finite strength; ``PRIOR_WINS`` added to each side of every
pair that was compared (Haldane 1956, Anscombe 1956: half a win) keeps it finite and shrinks little.

Shape legend: B fits, K runs.
"""

import numpy as np
from jaxtyping import Float64

PRIOR_WINS = 0.5
TOLERANCE = 1e-9
MAX_ROUNDS = 10_000


def davidson(
    wins: Float64[np.ndarray, "B K K"],
    ties: Float64[np.ndarray, "B K K"],
    *,
    prior_wins: float = PRIOR_WINS,
) -> tuple[Float64[np.ndarray, "B K"], Float64[np.ndarray, " B"]]:
    """Fit strengths, many sets of counts at once.

    Args:
        wins: How often the row was preferred to the column; may be weighted. Zero diagonal.
        ties: How often neither was; symmetric, zero diagonal.
        prior_wins: Added to either side of every pair that was compared in the first set.

    Returns:
        Log strengths, of mean 0 over runs, and v. With ``prior_wins`` 0 and a run that always or
        never wins, the log strengths grow without bound and are what was reached.
    """
    # From near the end: the least squares of the pairs' own log odds, exact for two runs.
    odds = np.log(wins + 0.5) - np.log(np.swapaxes(wins, 1, 2) + 0.5)
    strengths = np.exp(odds.mean(axis=2))
    compared = (wins[0] + wins[0].T + ties[0]) > 0
    wins = wins + prior_wins * compared
    games = wins + np.swapaxes(wins, 1, 2) + ties
    scores = (2 * wins + ties).sum(axis=2)
    num_ties = ties.sum(axis=(1, 2)) / 2
    tied = np.ones_like(num_ties)
    for _ in range(MAX_ROUNDS):
        before = np.column_stack([np.log(strengths), tied])
        root = np.sqrt(strengths[:, None, :] / strengths[:, :, None])
        rate = games / _denominator(strengths, tied)
        strengths = scores / (rate * (2 + tied[:, None, None] * root)).sum(axis=2)
        strengths /= np.exp(np.log(strengths).mean(axis=1, keepdims=True))
        between = np.sqrt(strengths[:, :, None] * strengths[:, None, :])
        weight = (games * between / _denominator(strengths, tied)).sum(axis=(1, 2)) / 2
        tied = num_ties / weight
        if np.abs(np.column_stack([np.log(strengths), tied]) - before).max() < TOLERANCE:
            break
    return np.log(strengths), tied


def _denominator(
    strengths: Float64[np.ndarray, "B K"], tied: Float64[np.ndarray, " B"]
) -> Float64[np.ndarray, "B K K"]:
    left, right = strengths[:, :, None], strengths[:, None, :]
    return left + right + tied[:, None, None] * np.sqrt(left * right)
