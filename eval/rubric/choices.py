"""Choices of several raters put together: who was preferred, how strongly, and agreement.

What a rater said the second time is left out here; ``consistency`` looks at that.

Shape legend: B draws, R raters, U pairs, K runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float64

from eval.rubric.agreement import Agreement, Level, agree
from eval.rubric.answers import TIE, Rater
from eval.rubric.key import Key
from eval.rubric.preference import davidson
from eval.rubric.resample import Draws, draw, totals
from eval.told import Interval

CHOICES = (-1, 0, 1)
"""The run that was given first, neither, the other one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """One run against another."""

    run: str
    base: str
    num_wins: int
    num_ties: int
    num_losses: int
    share: Interval
    """Of answers that prefer the run, ties half, 0 to 1."""
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Strength:
    """A run's Bradley-Terry strength among all on the page."""

    run: str
    log_strength: Interval
    """Natural logarithm, of mean 0 over runs; 0.69 more is preferred twice as often as not."""


class ChoiceTable:
    """All first choices, by rater and pair; NaN where there is none."""

    def __init__(self, raters: Sequence[Rater], key: Key) -> None:
        self.key = key
        self.pairs = sorted(key.pairs)
        self.runs = [
            tuple(key.runs.index(key.images[image].run) for image in key.pairs[pair])
            for pair in self.pairs
        ]
        place = {pair: number for number, pair in enumerate(self.pairs)}
        self.choices_RU = np.full((len(raters), len(self.pairs)), np.nan)
        for number, rater in enumerate(raters):
            for answer in rater.answers:
                if not answer.is_repeat and answer.winner is not None:
                    first, _ = key.pairs[answer.item]
                    won = {TIE: 0.0, first: -1.0}.get(answer.winner, 1.0)
                    self.choices_RU[number, place[answer.item]] = won

    def draws(self, *, num_draws: int, seed: int) -> Draws:
        """Draw raters, and pairs by the group of their pictures."""
        groups = [self.key.images[self.key.pairs[pair][0]].group for pair in self.pairs]
        return draw(len(self.choices_RU), groups, num_draws=num_draws, seed=seed)

    def between(self, first: int, second: int) -> Float64[np.ndarray, "R U"]:
        """Return the choices between two runs, NaN at all other pairs."""
        is_theirs = np.array([runs == (first, second) for runs in self.runs])
        return np.where(is_theirs, self.choices_RU, np.nan)


def preferences(table: ChoiceTable, *, num_draws: int, seed: int) -> list[Preference]:
    """Return every run against every one given before it."""
    draws = table.draws(num_draws=num_draws, seed=seed)
    found = []
    for first, second in combinations(range(len(table.key.runs)), 2):
        chosen = table.between(first, second)
        losses, ties, wins = _counts(chosen, draws)
        with np.errstate(invalid="ignore"):
            share = draws.interval((wins + ties / 2) / (wins + ties + losses), chosen)
        found.append(
            Preference(
                run=table.key.runs[second],
                base=table.key.runs[first],
                num_wins=round(wins[0]),
                num_ties=round(ties[0]),
                num_losses=round(losses[0]),
                share=share,
                verdict=_verdict(share),
            )
        )
    return found


def strengths(table: ChoiceTable, *, num_draws: int, seed: int) -> list[Strength]:
    """Return every run's strength, by Davidson's model with half a win added to either side."""
    draws = table.draws(num_draws=num_draws, seed=seed)
    num_runs = len(table.key.runs)
    wins = np.zeros((len(draws.units), num_runs, num_runs))
    ties = np.zeros_like(wins)
    for first, second in combinations(range(num_runs), 2):
        counts = _counts(table.between(first, second), draws)
        wins[:, first, second], wins[:, second, first] = counts[0], counts[2]
        ties[:, first, second] = ties[:, second, first] = counts[1]
    if not wins[0].any() and not ties[0].any():
        nothing = Interval(value=None)
        return [Strength(run=run, log_strength=nothing) for run in table.key.runs]
    logs, _ = davidson(wins, ties)
    return [
        Strength(run=run, log_strength=draws.interval(logs[:, number], table.choices_RU))
        for number, run in enumerate(table.key.runs)
    ]


def agreements(table: ChoiceTable, *, num_draws: int, seed: int) -> list[Agreement]:
    """Return alpha over all pairs, a tie between the two choices."""
    draws = table.draws(num_draws=num_draws, seed=seed)
    return [
        agree(table.choices_RU, CHOICES, criterion="choice", level=level, draws=draws)
        for level in Level
    ]


def _counts(
    chosen: Float64[np.ndarray, "R U"], draws: Draws
) -> tuple[Float64[np.ndarray, " B"], ...]:
    """Count each choice: the first run, neither, the second."""
    return tuple(totals((chosen == choice).astype(np.float64), draws) for choice in CHOICES)


def _verdict(share: Interval) -> str:
    if share.value is None:
        return "not rated"
    told = f"preferred in {share}"
    if share.low is None or share.high is None:
        return f"not distinguishable: too few pairs for an interval; {told}"
    if share.low > 0.5:
        return f"better: {told}"
    if share.high < 0.5:
        return f"worse: {told}"
    return f"not distinguishable: {told}"
