import numpy as np
import pytest

from eval.rubric.resample import draw, means, totals


def alone(count: int) -> list[str]:
    return [str(number) for number in range(count)]


def width(table, groups: list[str]) -> float:  # type: ignore[no-untyped-def]
    draws = draw(len(table), groups, num_draws=500, seed=0)
    interval = draws.interval(means(table, draws), table)
    assert interval.low is not None
    assert interval.high is not None
    return interval.high - interval.low


def test_the_first_draw_is_the_data() -> None:
    table = np.array([[1.0, 2.0, np.nan], [3.0, np.nan, np.nan]])
    draws = draw(2, alone(3), num_draws=100, seed=0)
    # Pictures count alike: 2 of two raters, 2 of one; the third has no grade.
    assert means(table, draws)[0] == pytest.approx(2.0)
    assert totals(table, draws)[0] == pytest.approx(6.0)


def test_intervals_hold_the_truth_over_raters_and_pictures() -> None:
    rng = np.random.default_rng(1)
    inside = 0
    for trial in range(60):
        severity, quality = rng.normal(0, 0.5, (6, 1)), rng.normal(0, 1, (1, 30))
        table = 3 + severity + quality + rng.normal(0, 0.5, (6, 30))
        draws = draw(6, alone(30), num_draws=200, seed=trial)
        interval = draws.interval(means(table, draws), table)
        assert interval.low is not None
        assert interval.high is not None
        inside += interval.low <= 3.0 <= interval.high
    assert inside >= 50, "95 % of intervals should hold the truth"


def test_few_raters_who_differ_are_less_sure_than_one_opinion() -> None:
    quality = np.random.default_rng(0).normal(3, 1, (1, 40))
    alike = np.repeat(quality, 4, axis=0)
    differ = alike + np.array([[-1.0], [-0.4], [0.4], [1.0]])
    assert width(differ, alone(40)) > 1.5 * width(alike, alone(40))


def test_pictures_of_one_prompt_count_once() -> None:
    table = np.repeat(np.random.default_rng(0).normal(3, 1, (1, 20)), 4, axis=1)
    groups = [str(number // 4) for number in range(80)]
    assert width(table, groups) > 1.6 * width(table, alone(80))


@pytest.mark.parametrize(("num_prompts", "is_enough"), [(1, False), (5, False), (6, True)])
def test_few_prompts_have_no_interval(num_prompts: int, is_enough: bool) -> None:
    """Five that all go one way are chance in 6 % of cases: no 95 % interval may say more."""
    table = np.full((3, 12), 1.0)
    draws = draw(3, [str(n % num_prompts) for n in range(12)], num_draws=100, seed=0)
    interval = draws.interval(means(table, draws), table)
    assert interval.value == 1.0
    assert interval.is_above_zero is is_enough


def test_draws_without_a_grade_are_left_out() -> None:
    table = np.full((1, 60), np.nan)
    table[0, :6] = 2.0, 2.0, 2.0, 4.0, 4.0, 4.0
    draws = draw(1, alone(60), num_draws=200, seed=0)
    interval = draws.interval(means(table, draws), table)
    assert interval.low is not None
    assert interval.high is not None
    assert 2.0 <= interval.low < interval.value == 3.0 < interval.high <= 4.0
    table[0, 0] = np.nan
    assert draws.interval(means(table, draws), table).low is None
    table[:] = np.nan
    assert draws.interval(means(table, draws), table).value is None
