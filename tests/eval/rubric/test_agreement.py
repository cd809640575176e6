import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from eval.rubric.agreement import Level, alpha, alphas
from eval.rubric.resample import draw

_ = np.nan
GRADES = (1, 2, 3, 4, 5)
# Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability", example C: four observers.
FOUR_OBSERVERS = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, _, _, _],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, _, 3],
        [_, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, _],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, _],
    ]
)
# The worked example of the encyclopaedia's page on alpha: three coders, fifteen units.
THREE_CODERS = np.array(
    [
        [_, _, _, _, _, 3, 4, 1, 2, 1, 1, 3, 3, _, 3],
        [1, _, 2, 1, 3, 3, 4, 3, _, _, _, _, _, _, _],
        [_, _, 2, 1, 3, 4, 4, _, 2, 1, 1, 3, 3, _, 4],
    ]
)
tables = arrays(
    np.float64,
    st.tuples(st.integers(2, 4), st.integers(3, 8)),
    elements=st.sampled_from([*GRADES, _]),
)


@pytest.mark.parametrize(("level", "published"), [(Level.ordinal, 0.815), (Level.interval, 0.849)])
def test_four_observers_as_published(level: Level, published: float) -> None:
    assert alpha(FOUR_OBSERVERS, GRADES, level=level) == pytest.approx(published, abs=5e-4)


def test_three_coders_as_published() -> None:
    found = alpha(THREE_CODERS, (1, 2, 3, 4), level=Level.interval)
    assert found == pytest.approx(0.810845, abs=5e-7)


def test_two_raters_by_hand() -> None:
    """Units 1/1, 1/2, 2/2 of a scale of two: o = [[2, 1], [1, 2]], 1 - 5 * 2 / (2 * 3 * 3)."""
    table = np.array([[1.0, 1.0, 2.0], [1.0, 2.0, 2.0]])
    assert alpha(table, (1, 2), level=Level.interval) == pytest.approx(1 - 10 / 18)
    # With two grades an order says as much as steps do.
    assert alpha(table, (1, 2), level=Level.ordinal) == pytest.approx(1 - 10 / 18)


@settings(max_examples=50)
@given(tables, st.sampled_from(Level), st.randoms(use_true_random=False))
def test_the_order_of_raters_and_units_tells_nothing(table, level, random) -> None:  # type: ignore[no-untyped-def]
    raters, units = (random.sample(range(n), n) for n in table.shape)
    before = alpha(table, GRADES, level=level)
    after = alpha(table[raters][:, units], GRADES, level=level)
    assert after == pytest.approx(before, nan_ok=True)
    assert not before > 1.0


@settings(max_examples=50)
@given(
    st.lists(st.sampled_from(GRADES), min_size=2, max_size=9),
    st.integers(2, 5),
    st.sampled_from(Level),
)
def test_raters_who_say_the_same_agree(grades: list[int], num_raters: int, level: Level) -> None:
    assume(len(set(grades)) > 1)
    table = np.tile(np.array(grades, dtype=np.float64), (num_raters, 1))
    assert alpha(table, GRADES, level=level) == pytest.approx(1.0)


@settings(max_examples=50)
@given(tables)
def test_an_order_does_not_know_how_far_grades_lie_apart(table) -> None:  # type: ignore[no-untyped-def]
    before = alpha(table, GRADES, level=Level.ordinal)
    squared = alpha(table**2, [grade**2 for grade in GRADES], level=Level.ordinal)
    assert squared == pytest.approx(before, nan_ok=True)


def test_a_unit_of_one_rater_counts_for_nothing() -> None:
    alone = np.full((4, 1), np.nan)
    alone[1] = 5.0
    more = np.concatenate([FOUR_OBSERVERS, alone], axis=1)
    for level in Level:
        assert alpha(more, GRADES, level=level) == alpha(FOUR_OBSERVERS, GRADES, level=level)


def test_chance_is_zero_and_nothing_is_no_number() -> None:
    chance = np.random.default_rng(0).integers(1, 6, (3, 4000)).astype(np.float64)
    for level in Level:
        assert alpha(chance, GRADES, level=level) == pytest.approx(0.0, abs=0.03)
        assert np.isnan(alpha(np.full((3, 5), 4.0), GRADES, level=level)), "nothing varies"
        assert np.isnan(alpha(np.array([[1.0, _], [_, 2.0]]), GRADES, level=level))


def test_draws_begin_with_the_data_and_lie_around_them() -> None:
    draws = draw(4, [str(n) for n in range(12)], num_draws=400, seed=0)
    found = alphas(FOUR_OBSERVERS, GRADES, level=Level.ordinal, draws=draws)
    assert found[0] == pytest.approx(0.815, abs=5e-4)
    interval = draws.interval(found, FOUR_OBSERVERS)
    assert interval.low is not None
    assert interval.high is not None
    assert interval.low < 0.815 < interval.high <= 1.0
