"""Raters' files to scores: who is better, how sure, and whether raters agree.

Writes ``dgx-pixels-rubric-scores/1``, the fields of ``Scores`` as JSON.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

from eval.rubric import choices, grades
from eval.rubric.agreement import Agreement
from eval.rubric.answers import read_raters
from eval.rubric.conf import RubricMode, ScoreConfig
from eval.rubric.consistency import RaterReport, report
from eval.rubric.key import read_key
from eval.told import plain
from pipeline.core.files import write_json

SCHEMA = "dgx-pixels-rubric-scores/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """All there is to say of one page; what its mode does not ask is empty."""

    page: str
    mode: RubricMode
    runs: tuple[str, ...]
    """The first is the base."""
    raters: tuple[RaterReport, ...]
    agreement: tuple[Agreement, ...]
    means: tuple[grades.RunMean, ...] = ()
    differences: tuple[grades.RunDifference, ...] = ()
    preferences: tuple[choices.Preference, ...] = ()
    strengths: tuple[choices.Strength, ...] = ()


def score(cfg: ScoreConfig) -> Scores:
    """Read the raters' files, put them together, write the scores.

    Raises:
        InputError: Key or files cannot be read or do not belong together.
    """
    key = read_key(cfg.key)
    raters = read_raters(cfg.ratings, key)
    how: Any = {"num_draws": cfg.num_draws, "seed": cfg.seed}
    common: Any = {
        "page": key.page,
        "mode": key.mode,
        "runs": key.runs,
        "raters": tuple(report(rater) for rater in raters),
    }
    if key.mode is RubricMode.absolute:
        graded = grades.GradeTable(raters, key)
        scores = Scores(
            **common,
            agreement=tuple(grades.agreements(graded, **how)),
            means=tuple(grades.run_means(graded, **how)),
            differences=tuple(grades.differences(graded, **how)),
        )
    else:
        chosen = choices.ChoiceTable(raters, key)
        scores = Scores(
            **common,
            agreement=tuple(choices.agreements(chosen, **how)),
            preferences=tuple(choices.preferences(chosen, **how)),
            strengths=tuple(choices.strengths(chosen, **how)),
        )
    write_json(cfg.out, {"schema": SCHEMA, **plain(dataclasses.asdict(scores))})
    return scores


def told(scores: Scores) -> str:
    """Return the scores as lines to read, with 95 % intervals over pictures and raters."""
    return "\n".join(
        [
            f"{scores.mode.value}: {len(scores.raters)} raters, base {scores.runs[0]}",
            *(
                f"{each.run:<16} {each.criterion:<20} {each.grade}, {each.num_images} images"
                for each in scores.means
            ),
            *(
                f"{each.run} against {each.base}, {each.criterion}: {each.verdict}"
                for each in scores.differences
            ),
            *(
                f"{each.run} against {each.base}: {each.verdict}; {each.num_wins} won, "
                f"{each.num_ties} tied, {each.num_losses} lost"
                for each in scores.preferences
            ),
            *(f"{each.run:<16} log strength {each.log_strength}" for each in scores.strengths),
            *(
                f"alpha, {each.level.value:<9} {each.criterion:<20} {each.alpha}"
                for each in scores.agreement
            ),
            *(_rater(each) for each in scores.raters),
        ]
    )


def _rater(rater: RaterReport) -> str:
    same = "" if rater.same_share is None else f", {rater.same_share:.0%} the same"
    return (
        f"rater {rater.rater}: {rater.num_answers} answers, {rater.num_skipped} skipped, "
        f"{rater.median_time_s:.1f} s each; {rater.num_repeats} given twice{same}"
    )
