from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.intervals import (
    DRAWS,
    Estimate,
    mean_interval,
    paired_difference,
    quantile_interval,
)

NUM_SETS = 200


def ends(found: Estimate) -> tuple[float, float, float]:
    return found.low, found.value, found.high


def test_four_items_by_hand() -> None:
    """One of four is 1: the mean of four draws is Binomial(4, 1/4) / 4, whose middle 95 % ends at
    0 and at 3/4 (3 or more come in 13 of 256 draws, 4 in 1)."""
    assert ends(mean_interval([0.0, 0.0, 1.0, 0.0])) == (0.0, 0.25, 0.75)
    assert ends(mean_interval([3.0] * 9)) == (3.0, 3.0, 3.0)
    assert ends(quantile_interval([1.0, 2.0, 3.0, 4.0], 0.5))[1] == 2.0
    assert ends(quantile_interval([5.0] * 9, 0.1)) == (5.0, 5.0, 5.0)


@pytest.mark.parametrize(("quantile", "value"), [(0.0, 1.0), (0.25, 1.0), (0.26, 2.0), (1.0, 4.0)])
def test_a_quantile_is_one_of_the_values(quantile: float, value: float) -> None:
    found = quantile_interval([4.0, 1.0, 3.0, 2.0], quantile)
    assert found.value == value
    assert {found.low, found.high} <= {1.0, 2.0, 3.0, 4.0}


def test_undefined_items_are_left_out_and_counted() -> None:
    nan = float("nan")
    found = mean_interval([1.0, nan, 2.0, 3.0, 4.0, nan], list("aabcdd"))
    assert (found.value, found.num, found.num_groups) == (2.5, 4, 4)
    for nothing in (mean_interval([nan, nan]), quantile_interval([], 0.5)):
        assert (nothing.num, nothing.num_groups) == (0, 0)
        assert np.isnan(ends(nothing)).all()


def test_three_groups_have_no_interval() -> None:
    found = mean_interval(np.arange(30.0), [str(i % 3) for i in range(30)])
    assert found.value == 14.5
    assert np.isnan([found.low, found.high]).all()


def test_siblings_count_once() -> None:
    values = np.random.default_rng(0).normal(size=40)
    names = [f"{i:02}" for i in range(40)]
    once = mean_interval(values, names)
    four = mean_interval(np.repeat(values, 4), [name for name in names for _ in range(4)])
    assert ends(four) == pytest.approx(ends(once))
    blind = mean_interval(np.repeat(values, 4))
    assert blind.high - blind.low < 0.6 * (once.high - once.low)


numbers = st.lists(st.floats(-1e3, 1e3), min_size=4, max_size=30)


@settings(max_examples=30, deadline=None)
@given(numbers, st.integers(0, 9), st.randoms(use_true_random=False))
def test_order_scale_and_shift(values: list[float], seed: int, random: object) -> None:
    names = [str(i % 7) for i in range(len(values))]
    mixed = list(zip(values, names, strict=True))
    random.shuffle(mixed)  # type: ignore[attr-defined]
    for statistic in (mean_interval, lambda *a, **k: quantile_interval(a[0], 0.5, *a[1:], **k)):
        found = statistic(values, names, seed=seed, draws=100)
        assert (
            statistic([v for v, _ in mixed], [n for _, n in mixed], seed=seed, draws=100) == found
        )
        assert min(values) - 1e-9 <= found.value <= max(values) + 1e-9
        if found.num_groups >= 4:
            assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9
    found = mean_interval(values, names, seed=seed, draws=100)
    scaled = mean_interval(2 * np.array(values) + 5, names, seed=seed, draws=100)
    assert ends(scaled) == pytest.approx(
        [2 * end + 5 for end in ends(found)], abs=1e-6, nan_ok=True
    )


Draw = Callable[[np.random.Generator], np.ndarray]  # type: ignore[type-arg]


@pytest.mark.parametrize(
    ("draw", "truth"),
    [
        (lambda rng: rng.normal(3.0, 2.0, 40), 3.0),
        (lambda rng: rng.exponential(1.0, 60), 1.0),
        (lambda rng: (rng.random(60) < 0.3).astype(float), 0.3),
    ],
    ids=["normal", "exponential", "coin"],
)
def test_intervals_of_means_hold_the_truth(draw: Draw, truth: float) -> None:
    rng = np.random.default_rng(1)
    found = [mean_interval(draw(rng), seed=i, draws=400) for i in range(NUM_SETS)]
    inside = sum(one.low <= truth <= one.high for one in found)
    assert 0.88 * NUM_SETS <= inside <= 0.99 * NUM_SETS


def test_intervals_of_medians_hold_the_truth() -> None:
    rng = np.random.default_rng(2)
    found = [quantile_interval(rng.random(50), 0.5, draws=300) for _ in range(NUM_SETS)]
    inside = sum(one.low <= 0.5 <= one.high for one in found)
    assert 0.88 * NUM_SETS <= inside <= 0.99 * NUM_SETS


def test_siblings_that_share_their_luck_need_groups() -> None:
    rng = np.random.default_rng(3)
    names = [f"{i // 5:02}" for i in range(150)]
    with_groups = without = 0
    for _ in range(NUM_SETS):
        values = np.repeat(rng.normal(size=30), 5) + 0.2 * rng.normal(size=150)
        one, other = mean_interval(values, names, draws=300), mean_interval(values, draws=300)
        with_groups += one.low <= 0 <= one.high
        without += other.low <= 0 <= other.high
    assert with_groups >= 0.88 * NUM_SETS
    assert without < 0.75 * NUM_SETS


def test_a_higher_level_is_wider() -> None:
    values = np.random.default_rng(4).normal(size=50)
    wide, narrow = (mean_interval(values, level=level) for level in (0.99, 0.8))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_what_is_hard_for_both_falls_out_of_a_difference() -> None:
    rng = np.random.default_rng(5)
    hard = rng.normal(0.0, 10.0, 60)
    base, tuned = hard + rng.normal(0, 0.1, 60), hard + 0.5 + rng.normal(0, 0.1, 60)
    alone = [mean_interval(side) for side in (base, tuned)]
    assert alone[0].high > alone[1].low, "apart they cannot be told"
    found = paired_difference(base, tuned, higher_is_better=True, unit="dB")
    assert found.is_better is True
    assert 0.4 < found.estimate.low < found.estimate.value < found.estimate.high < 0.6
    assert found.verdict.startswith("better by 0.")
    assert found.verdict.endswith(") dB")


def test_which_way_is_better_decides_the_word() -> None:
    base, tuned = np.arange(20.0), np.arange(20.0) - np.tile([1.0, 2.0], 10)
    words = {True: "worse", False: "better", None: "lower"}
    for higher_is_better, word in words.items():
        found = paired_difference(base, tuned, higher_is_better=higher_is_better)
        assert found.verdict.startswith(f"{word} by 1.5 (1.")
        turned = paired_difference(tuned, base, higher_is_better=higher_is_better)
        assert turned.estimate.value == -found.estimate.value
        assert turned.is_better == (None if found.is_better is None else not found.is_better)


def test_nothing_is_found_where_nothing_is() -> None:
    rng = np.random.default_rng(6)
    found = [
        paired_difference(
            rng.normal(size=40), rng.normal(size=40), higher_is_better=True, seed=seed
        )
        for seed in range(NUM_SETS)
    ]
    assert sum(one.is_better is not None for one in found) <= 0.12 * NUM_SETS
    same = paired_difference([1.0] * 9, [1.0] * 9, higher_is_better=True)
    assert (same.verdict, same.is_better) == ("not distinguishable", None)


def test_too_few_are_not_judged() -> None:
    found = paired_difference([0.0] * 9, [1.0] * 9, ["a", "b", "c"] * 3, higher_is_better=True)
    assert found.is_better is None
    assert "3" in found.verdict
    nan = float("nan")
    none = paired_difference([nan, 1.0], [1.0, nan], higher_is_better=True)
    assert none.estimate.num == 0
    assert none.is_better is None


@pytest.mark.parametrize("side", [0, 1])
def test_what_has_no_mean_is_refused(side: int) -> None:
    pair = [[1.0] * 5, [1.0] * 5]
    pair[side][2] = float("inf")
    with pytest.raises(ValueError, match="infinite"):
        paired_difference(*pair, higher_is_better=True)
    with pytest.raises(ValueError, match="4 items on one side"):
        paired_difference([1.0] * 4, [1.0] * 5, higher_is_better=True)
    with pytest.raises(ValueError, match="groups: 2"):
        mean_interval([1.0] * 4, ["a", "b"])


def test_a_long_list_is_drawn_in_parts() -> None:
    """More weights than are held at once; a normal mean has a known interval."""
    values = np.random.default_rng(7).normal(size=20_000)
    found = mean_interval(values, draws=DRAWS // 4)
    expected = 2 * 1.96 / np.sqrt(20_000)
    assert found.high - found.low == pytest.approx(expected, rel=0.15)
