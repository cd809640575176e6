"""Grades of several raters put together: means of runs, differences of two, agreement.

What a rater said the second time is left out here; ``consistency`` looks at that.

Shape legend: R raters, U units (pictures or names), C criteria.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from eval.rubric.agreement import Agreement, Level, agree
from eval.rubric.answers import Rater
from eval.rubric.criteria import GRADES, NAMES
from eval.rubric.key import Key
from eval.rubric.resample import Draws, draw, means
from eval.told import Interval

ALL = "human_mean"
"""Mean of all criteria, where a rater gave all of a picture."""
COLUMNS = (*NAMES, ALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMean:
    """What one run's pictures were given."""

    run: str
    criterion: str
    """One of the criteria, or ``human_mean``."""
    grade: Interval
    """1 to 5, 5 is best."""
    num_images: int
    """Pictures with a grade."""
    num_grades: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDifference:
    """One run against the base, picture by picture of one name and rater by rater."""

    run: str
    base: str
    criterion: str
    difference: Interval
    """Grades; above 0 the run is better."""
    num_images: int
    verdict: str


class GradeTable:
    """All first grades, by rater, picture and criterion; NaN where there is none."""

    def __init__(self, raters: Sequence[Rater], key: Key) -> None:
        self.images = sorted(key.images)
        place = {image: number for number, image in enumerate(self.images)}
        self.grades_RUC = np.full((len(raters), len(self.images), len(COLUMNS)), np.nan)
        for number, rater in enumerate(raters):
            for answer in rater.answers:
                if not answer.is_repeat and answer.grade is not None:
                    column = COLUMNS.index(answer.criterion)
                    self.grades_RUC[number, place[answer.item], column] = answer.grade
        self.grades_RUC[..., -1] = self.grades_RUC[..., :-1].mean(axis=2)
        self.key = key
        self._place = {(shown.run, shown.name): place[i] for i, shown in key.images.items()}
        first = [name for run, name in self._place if run == key.runs[0]]
        self.names = sorted(first)

    def of_run(self, run: str) -> Float64[np.ndarray, "R U C"]:
        """Return a run's grades, one unit a name."""
        return self.grades_RUC[:, [self._place[run, name] for name in self.names]]

    def groups(self) -> list[str]:
        """Return what each name is drawn together with."""
        shown = [self.images[self._place[self.key.runs[0], name]] for name in self.names]
        return [self.key.images[image].group for image in shown]


def run_means(table: GradeTable, *, num_draws: int, seed: int) -> list[RunMean]:
    """Return the mean of every run and criterion."""
    draws = _draws(table, num_draws, seed)
    found = []
    for run in table.key.runs:
        grades_RUC = table.of_run(run)
        for column, criterion in enumerate(COLUMNS):
            grades = grades_RUC[..., column]
            present = np.isfinite(grades)
            mean = RunMean(
                run=run,
                criterion=criterion,
                grade=draws.interval(means(grades, draws), grades),
                num_images=int(present.any(axis=0).sum()),
                num_grades=int(present.sum()),
            )
            found.append(mean)
    return found


def differences(table: GradeTable, *, num_draws: int, seed: int) -> list[RunDifference]:
    """Return every run less the first, only where one rater graded both pictures of a name."""
    draws = _draws(table, num_draws, seed)
    base, *others = table.key.runs
    found = []
    for run in others:
        less_RUC = table.of_run(run) - table.of_run(base)
        for column, criterion in enumerate(COLUMNS):
            less = less_RUC[..., column]
            interval = draws.interval(means(less, draws), less)
            difference = RunDifference(
                run=run,
                base=base,
                criterion=criterion,
                difference=interval,
                num_images=int(np.isfinite(less).any(axis=0).sum()),
                verdict=verdict(interval),
            )
            found.append(difference)
    return found


def agreements(table: GradeTable, *, num_draws: int, seed: int) -> list[Agreement]:
    """Return alpha of every criterion over the pictures of all runs, ordinal and interval."""
    groups = [table.key.images[image].group for image in table.images]
    draws = draw(len(table.grades_RUC), groups, num_draws=num_draws, seed=seed)
    return [
        agree(table.grades_RUC[..., column], GRADES, criterion=criterion, level=level, draws=draws)
        for column, criterion in enumerate(NAMES)
        for level in Level
    ]


def verdict(difference: Interval) -> str:
    """Say a difference plainly."""
    if difference.value is None:
        return "not rated"
    if difference.low is None or difference.high is None:
        return "not distinguishable: too few pictures for an interval"
    if difference.is_above_zero:
        return f"better by {difference}"
    if difference.is_below_zero:
        return f"worse by {-difference.value:.2f} ({-difference.high:.2f} to {-difference.low:.2f})"
    return f"not distinguishable: {difference}"


def _draws(table: GradeTable, num_draws: int, seed: int) -> Draws:
    return draw(len(table.grades_RUC), table.groups(), num_draws=num_draws, seed=seed)
