import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.telemetry.fields import (
    BLANKS,
    BY_DCGM_NAME,
    BY_NAME,
    FIELDS,
    HOST_FIELDS,
    Kind,
    clean,
)

UNITS = ("percent", "mib", "w", "c", "mhz", "j", "s", "bytes")
COUNTS = ("clock_reasons", "xid", "pcie_replays", "num_processes")


def test_no_id_name_or_column_means_two_things() -> None:
    for key in ("dcgm_id", "old", "new", "tag", "smi"):
        told = [getattr(field, key) for field in FIELDS if getattr(field, key) is not None]
        assert len(told) == len(set(told)), key
    assert len(BY_DCGM_NAME) == sum((f.old is not None) + (f.new is not None) for f in FIELDS)


def test_names_end_in_their_unit_or_count_something() -> None:
    for field in (*FIELDS, *HOST_FIELDS):
        counts = field.kind is Kind.counter or field.limits == (0.0, 1.0)
        assert field.name.endswith(UNITS) or field.name in COUNTS or counts, field.name


def test_two_ids_of_one_name_differ_in_nothing_but_where_they_are_read() -> None:
    twice = [field for field in FIELDS if BY_NAME[field.name] is not field]
    assert [field.dcgm_id for field in twice] == [1611]
    for field in twice:
        same = dataclasses.asdict(field).keys() - {"dcgm_id", "old", "new", "tag", "smi", "scale"}
        same -= {"about"}
        assert all(getattr(field, key) == getattr(BY_NAME[field.name], key) for key in same)


@given(st.sampled_from(FIELDS), st.sampled_from(BLANKS), st.integers(0, 3))
def test_no_blank_becomes_a_value(field: object, blank: tuple[float, float], more: int) -> None:
    assert clean(field, min(blank[0] + more, blank[1])) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["N/A", "-", "", "[Not Supported]", "nan", None])
def test_words_are_no_values(text: str | None) -> None:
    assert all(clean(field, text) is None for field in FIELDS)


def test_values_are_in_our_units() -> None:
    assert clean(BY_NAME["energy_j"], "1000") == 1.0
    assert clean(BY_NAME["tensor_active_percent"], "0.5") == 50.0
    assert clean(BY_NAME["throttled_power_s"], 2e9) == 2.0
    assert clean(BY_NAME["temperature_c"], 500) is None
    assert clean(BY_NAME["power_w"], -1) is None
    assert math.isclose(clean(BY_NAME["power_w"], 702_125, scale=1e-3) or 0, 702.125)
