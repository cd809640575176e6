import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.telemetry.counters import Growth

STEPS = st.lists(st.integers(0, 1000), max_size=30)


def read(values: list[float], max_per_s: float | None = None) -> Growth:
    growth = Growth(max_per_s)
    for at_s, value in enumerate(values):
        growth.add(value, float(at_s))
    return growth


@given(st.integers(0, 10**12), STEPS)
def test_without_a_reset_the_growth_is_last_less_first(first: int, steps: list[int]) -> None:
    values = [first]
    for step in steps:
        values.append(values[-1] + step)
    assert read([float(v) for v in values]).total == values[-1] - first


@given(
    st.integers(0, 10**6),
    st.lists(st.tuples(st.integers(0, 1000), st.booleans()), max_size=40),
)
def test_resets_never_add_what_was_not_counted(first: int, steps: list[tuple[int, bool]]) -> None:
    """At a reset the device starts from zero and counts the step."""
    now, counted, values = first, 0, [float(first)]
    for step, is_reset in steps:
        now = step if is_reset else now + step
        counted += step
        values.append(float(now))
    growth = read(values)
    assert 0 <= growth.total <= counted


@given(st.lists(st.integers(1, 1000), min_size=4, max_size=20), st.data())
def test_one_nonsense_reading_below_changes_nothing(steps: list[int], data: st.DataObject) -> None:
    values = [10.0**6]
    for step in steps:
        values.append(values[-1] + step)
    at = data.draw(st.integers(1, len(values) - 2))
    broken = [*values[:at], 0.0, *values[at:]]
    assert read(broken).total == values[-1] - values[0]
    assert read(broken).num_resets == 0


def test_after_a_driver_reload_it_goes_on_from_the_new_counter() -> None:
    growth = read([100.0, 150.0, 5.0, 25.0, 30.0])
    assert (growth.total, growth.num_resets) == (50.0 + 25.0, 1)


def test_a_reading_that_jumps_is_not_counted() -> None:
    growth = read([0.0, 10.0, 1e9, 1e9 + 10], max_per_s=100.0)
    assert (growth.total, growth.num_resets) == (20.0, 1)


@pytest.mark.parametrize("values", [[], [123.0], [123.0, 5.0], [0.0, 1e9]])
def test_without_two_readings_to_believe_nothing_is_known(values: list[float]) -> None:
    growth = read(values, max_per_s=100.0)
    assert (growth.total, growth.is_known) == (0, False)
    assert read([5.0, 5.0]).is_known


def test_a_reading_may_be_a_second_old() -> None:
    """DCGM tells its newest row: a step may stand for a second more than it took."""
    growth = Growth(max_per_s=1000.0)
    for at_s, value in ((0.0, 0.0), (5.0, 4000.0), (5.2, 5100.0)):
        growth.add(value, at_s)
    assert (growth.total, growth.num_resets) == (5100.0, 0)
