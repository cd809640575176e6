import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.numbers import LARGEST, number


@given(st.integers(-(10**17), 10**17) | st.floats(-1e17, 1e17))
def test_a_number_stays_as_it_is(value):
    assert number(value) == value


@pytest.mark.parametrize(
    "text", ["null", "true", "NaN", "Infinity", "-Infinity", "[1]", "{}", '"1"', "1e999"]
)
def test_what_json_may_hold_beside_numbers_is_none(text):
    assert number(json.loads(text)) is None


def test_what_no_float_holds_is_none():
    assert number(10**400) is None
    assert number(-(10**400)) is None
    assert number(LARGEST) is None
