import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from eval.rubric.conf import RubricMode, ScoreConfig
from eval.rubric.criteria import NAMES
from eval.rubric.key import Key, write_key
from eval.rubric.page import build_page
from eval.rubric.score import Scores, score, told
from tests.fakes.raters import choose_all, grade_all, save, sprites

RATERS = ("anna", "bert", "cleo")


def key_of(mode: RubricMode, runs: str = "ab", count: int = 30) -> Key:
    sets = {run: sprites(count, seed=seed) for seed, run in enumerate(runs)}
    return build_page(sets, mode=mode).key


def score_of(folder: Path, key: Key, files: list[Path]) -> Scores:
    write_key(folder / "key.json", key)
    return score(
        ScoreConfig(
            key=folder / "key.json", ratings=files, out=folder / "scores.json", num_draws=400
        )
    )


def graders(
    folder: Path, key: Key, *, better: float, noise: float = 0.4, names: tuple[str, ...] = RATERS
) -> list[Path]:
    """Raters who give run b ``better`` grades more than a, each with an eye of their own."""
    quality = {
        each.name: number % 3
        for number, each in enumerate(sorted(key.images.values(), key=lambda s: s.name))
    }
    files = []
    for number, name in enumerate(names):
        rng = np.random.default_rng(number)

        def grade(
            item: str, criterion: str, rng: np.random.Generator = rng, strict: float = number / 4
        ) -> int:
            shown = key.images[item]
            mean = 2.2 + quality[shown.name] / 2 + better * (shown.run == "b") - strict
            return int(np.clip(np.rint(mean + rng.normal(0, noise)), 1, 5))

        files.append(save(folder, grade_all(key, name, grade)))
    return files


def test_a_better_run_is_found_better(tmp_path: Path) -> None:
    key = key_of(RubricMode.absolute)
    scores = score_of(tmp_path, key, graders(tmp_path, key, better=1.0))
    assert [each.criterion for each in scores.differences] == [*NAMES, "human_mean"]
    for each in scores.differences:
        assert (each.run, each.base, each.num_images) == ("b", "a", 30)
        assert each.difference.value == pytest.approx(1.0, abs=0.35)
        assert each.verdict.startswith("better by")
    means = {(each.run, each.criterion): each for each in scores.means}
    assert means["a", "clarity"].num_grades == 90
    less = means["b", "human_mean"].grade.value, means["a", "human_mean"].grade.value
    assert scores.differences[-1].difference.value == pytest.approx(np.subtract(*less))
    for agreed in scores.agreement:
        assert agreed.num_shared == 60
        assert agreed.alpha.value is not None
        assert 0.3 < agreed.alpha.value < 0.95


def test_like_runs_are_not_told_apart(tmp_path: Path) -> None:
    key = key_of(RubricMode.absolute)
    scores = score_of(tmp_path, key, graders(tmp_path, key, better=0.0))
    verdicts = [each.verdict for each in scores.differences]
    assert sum(each.startswith("not distinguishable") for each in verdicts) >= 5


def test_a_worse_run_is_worse(tmp_path: Path) -> None:
    key = key_of(RubricMode.absolute)
    scores = score_of(tmp_path, key, graders(tmp_path, key, better=-1.0))
    assert all(each.verdict.startswith("worse by") for each in scores.differences)


def test_the_order_of_files_tells_nothing(tmp_path: Path) -> None:
    key = key_of(RubricMode.absolute)
    files = graders(tmp_path, key, better=0.5)
    assert score_of(tmp_path, key, files) == score_of(tmp_path, key, files[::-1])


def test_the_same_file_by_three_names_agrees_wholly(tmp_path: Path) -> None:
    key = key_of(RubricMode.absolute)
    first = json.loads(graders(tmp_path, key, better=0.5)[0].read_text())
    files = [save(tmp_path, first | {"rater": name}) for name in RATERS]
    for agreed in score_of(tmp_path, key, files).agreement:
        assert agreed.alpha.value == pytest.approx(1.0)


def test_a_rater_who_left_early_counts_for_what_is_there(tmp_path: Path) -> None:
    key = key_of(RubricMode.absolute)
    files = graders(tmp_path, key, better=1.0)
    whole = json.loads(files[0].read_text())
    half = whole["ratings"][: len(whole["ratings"]) // 2]
    files[0] = save(tmp_path, whole | {"ratings": half, "complete": False})
    scores = score_of(tmp_path, key, files)
    assert scores.raters[0].num_answers == len(half)
    assert scores.means[0].num_images == 30
    assert scores.differences[-1].verdict.startswith("better by")


def test_one_grade_is_a_number_without_an_interval(tmp_path: Path) -> None:
    key = key_of(RubricMode.absolute)
    whole = grade_all(key, "anna", lambda item, criterion: 4)
    scores = score_of(tmp_path, key, [save(tmp_path, whole | {"ratings": whole["ratings"][:1]})])
    graded = [each for each in scores.means if each.grade.value is not None]
    assert [each.grade.value for each in graded] == [4.0]
    assert graded[0].grade.low is None
    assert all(each.verdict == "not rated" for each in scores.differences)
    assert all(each.alpha.value is None for each in scores.agreement)
    written = json.loads((tmp_path / "scores.json").read_text())
    assert written["schema"] == "dgx-pixels-rubric-scores/1"
    assert told(scores)


def test_what_comes_twice_tells_of_the_rater_alone(tmp_path: Path) -> None:
    key = key_of(RubricMode.absolute, count=4)
    whole = grade_all(key, "anna", lambda item, criterion: 3)
    once = score_of(tmp_path, key, [save(tmp_path, whole)])
    rows = [row | {"repeat": 1} for row in whole["ratings"][:10]]
    rows[0]["value"], rows[1]["value"], rows[2]["value"] = 5, 2, None
    more = whole | {"ratings": whole["ratings"] + rows}
    twice = score_of(tmp_path, key, [save(tmp_path, more)])
    assert (once.means, once.agreement) == (twice.means, twice.agreement)
    rater = twice.raters[0]
    assert (rater.num_repeats, rater.num_skipped) == (9, 1)
    assert rater.same_share == pytest.approx(7 / 9)
    assert rater.repeat_difference == pytest.approx(3 / 9)
    assert once.raters[0].same_share is None


def chooser(key: Key, share: float, seed: int) -> Callable[[str, str], str]:
    """Prefer run b in ``share`` of what is not a tie; a fifth are ties."""
    rng = np.random.default_rng(seed)

    def prefer(left: str, right: str) -> str:
        if rng.random() < 0.2:
            return "tie"
        wants_b = rng.random() < share
        return "left" if (key.images[left].run == "b") == wants_b else "right"

    return prefer


def choosers(folder: Path, key: Key, share: float) -> list[Path]:
    return [
        save(folder, choose_all(key, name, chooser(key, share, seed)))
        for seed, name in enumerate(RATERS)
    ]


def test_a_preferred_run_is_found_better(tmp_path: Path) -> None:
    key = key_of(RubricMode.pairwise, count=60)
    scores = score_of(tmp_path, key, choosers(tmp_path, key, 0.8))
    (liked,) = scores.preferences
    assert (liked.run, liked.base) == ("b", "a")
    assert liked.num_wins + liked.num_ties + liked.num_losses == 180
    assert liked.verdict.startswith("better")
    assert liked.share.value == pytest.approx((liked.num_wins + liked.num_ties / 2) / 180)
    strong = {each.run: each.log_strength for each in scores.strengths}
    assert strong["b"].value is not None
    odds = (liked.num_wins + 0.5) / (liked.num_losses + 0.5)
    assert 2 * strong["b"].value == pytest.approx(np.log(odds), abs=1e-6)
    assert strong["b"].is_above_zero
    assert strong["a"].is_below_zero


def test_two_runs_nobody_prefers_are_not_told_apart(tmp_path: Path) -> None:
    key = key_of(RubricMode.pairwise, count=60)
    scores = score_of(tmp_path, key, choosers(tmp_path, key, 0.5))
    assert scores.preferences[0].verdict.startswith("not distinguishable")
    for rater in scores.raters:
        assert rater.left_share == pytest.approx(0.5, abs=0.25)


def test_raters_who_choose_alike_agree_and_three_runs_are_ranked(tmp_path: Path) -> None:
    key = key_of(RubricMode.pairwise, runs="cab", count=6)

    def alphabet(left: str, right: str) -> str:
        return "left" if key.images[left].run < key.images[right].run else "right"

    files = [save(tmp_path, choose_all(key, name, alphabet)) for name in RATERS]
    scores = score_of(tmp_path, key, files)
    logs = {each.run: each.log_strength.value or 0.0 for each in scores.strengths}
    assert sorted(logs, key=lambda run: -logs[run]) == ["a", "b", "c"]
    assert all(np.isfinite(value) for value in logs.values()), "a always wins, and is bounded"
    assert [each.alpha.value for each in scores.agreement] == pytest.approx([1.0, 1.0])


def test_a_file_of_skips_alone_has_no_scores(tmp_path: Path) -> None:
    key = key_of(RubricMode.pairwise, count=3)
    scores = score_of(
        tmp_path, key, [save(tmp_path, choose_all(key, "anna", lambda left, right: None))]
    )
    assert scores.preferences[0].verdict == "not rated"
    assert [each.log_strength.value for each in scores.strengths] == [None, None]
    assert told(scores)
