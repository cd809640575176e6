import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.compare import compare_results
from bench.record import BenchResult, here, row
from pipeline.core.errors import InputError

HERE = here()


def result(**medians):
    units = {"rate": ("img/s", True), "latency": ("ms", False)}
    rows = [
        row(name, [value], unit=units[name][0], higher_is_better=units[name][1])
        for name, value in medians.items()
    ]
    return BenchResult(
        bench="throughput", conditions=HERE, rows=tuple(rows), settings={"batch_sizes": [16]}
    )


def verdicts(before, after, **options):
    return {each.name: each.verdict for each in compare_results(before, after, **options)}


def test_a_higher_rate_and_a_lower_time_are_better():
    before, after = result(rate=100, latency=10), result(rate=120, latency=8)
    assert verdicts(before, after) == {"rate": "better", "latency": "better"}
    assert verdicts(after, before) == {"rate": "worse", "latency": "worse"}


@settings(deadline=None)
@given(st.floats(1, 1e6), st.floats(0.951, 1.049))
def test_within_the_noise_nothing_changed(rate, factor):
    assert verdicts(result(rate=rate), result(rate=rate * factor)) == {"rate": "same"}


def test_unlike_conditions_are_refused_by_name():
    before = result(rate=1)
    versions = before.conditions.versions | {"torch": "9.9"}
    after = dataclasses.replace(
        before, conditions=dataclasses.replace(before.conditions, versions=versions)
    )
    with pytest.raises(InputError, match=r"conditions\.versions\.torch.*9\.9"):
        compare_results(before, after)
    assert verdicts(before, after, allow=("conditions.versions.torch",)) == {"rate": "same"}


def test_another_power_limit_is_another_machine():
    before = result(rate=1)
    limits = [
        dataclasses.replace(
            before, conditions=dataclasses.replace(before.conditions, power_limit_w=watts)
        )
        for watts in (700.0, 1000.0)
    ]
    with pytest.raises(InputError, match="power_limit_w"):
        compare_results(*limits)


def test_other_settings_and_other_benches_are_refused():
    before = result(rate=1)
    with pytest.raises(InputError, match=r"settings\.batch_sizes"):
        compare_results(before, dataclasses.replace(before, settings={"batch_sizes": [1]}))
    with pytest.raises(InputError, match="loader"):
        compare_results(before, dataclasses.replace(before, bench="loader"))


def test_what_was_not_measured_is_neither_better_nor_worse():
    before = result(rate=1)
    empty = dataclasses.replace(before.rows[0], median=None)
    after = dataclasses.replace(before, rows=(empty,))
    assert verdicts(before, after) == {"rate": "lost"}
    assert verdicts(before, dataclasses.replace(before, rows=())) == {"rate": "lost"}
    assert verdicts(after, before) == {"rate": "not measured"}


def test_falling_to_nought_is_worse_and_rising_from_it_is_not_unknown():
    assert verdicts(result(rate=1), result(rate=0)) == {"rate": "worse"}
    assert verdicts(result(latency=0), result(latency=3)) == {"latency": "worse"}
    assert verdicts(result(rate=0), result(rate=0)) == {"rate": "same"}
