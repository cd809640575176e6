"""Does a rater say the same twice: answers to what came a second time, and how they answer at all.

Shape legend: none; counts and shares of one rater.
"""

from dataclasses import dataclass
from statistics import fmean, median

from eval.rubric.answers import TIE, Answer, Rater


@dataclass(frozen=True, slots=True, kw_only=True)
class RaterReport:
    """One rater."""

    rater: str
    num_answers: int
    """Without those skipped, with those of the second time."""
    num_skipped: int
    median_time_s: float
    """Seconds an answer: next to nothing is somebody who clicks through."""
    mean_grade: float | None
    """How strict, 1 to 5; None: pairs."""
    left_share: float | None
    """Share of choices that fell on the left picture, ties left out; far from 0.5 is a habit. None:
    grades, or nothing but ties."""
    num_repeats: int
    """Answers given twice to the same question."""
    same_share: float | None
    """Share of these that are the same, 0 to 1; None: there are none."""
    repeat_difference: float | None
    """Mean of how far the two grades lie apart; None: pairs, or none was given twice."""


def report(rater: Rater) -> RaterReport:
    """Look at one rater's answers."""
    given = [each for each in rater.answers if _said(each) is not None]
    first = {_question(each): each for each in given if not each.is_repeat}
    again = [each for each in given if each.is_repeat and _question(each) in first]
    twice = [(first[_question(each)], each) for each in again]
    grades = [each.grade for each in given if each.grade is not None]
    sides = [each for each in given if each.winner not in {None, TIE}]
    apart = [abs(a.grade - b.grade) for a, b in twice if a.grade and b.grade]
    return RaterReport(
        rater=rater.name,
        num_answers=len(given),
        num_skipped=len(rater.answers) - len(given),
        median_time_s=round(median(each.time_s for each in rater.answers), 3),
        mean_grade=_mean(grades),
        left_share=_mean([each.winner == each.left for each in sides]),
        num_repeats=len(twice),
        same_share=_mean([_said(a) == _said(b) for a, b in twice]),
        repeat_difference=_mean(apart),
    )


def _said(answer: Answer) -> int | str | None:
    return answer.winner if answer.grade is None else answer.grade


def _question(answer: Answer) -> tuple[str, str]:
    return answer.item, answer.criterion


def _mean(values: list[int] | list[bool]) -> float | None:
    return fmean(values) if values else None
