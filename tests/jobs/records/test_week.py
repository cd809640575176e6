import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.records.week import Week
from pipeline.core.errors import InputError


@given(st.integers(946_857_600, 4_102_444_800))
def test_a_moment_lies_in_the_week_that_its_label_names_and_in_no_other(
    time_s: int,
) -> None:
    when = datetime.datetime.fromtimestamp(time_s, tz=datetime.UTC)
    week = Week.of(when)
    assert Week.parse(week.label) == week
    assert week.has(when)
    assert not week.before().has(when)
    assert week.before().end == week.start


@pytest.mark.parametrize(
    "text", ["2026-W54", "2026-W00", "2025-W53", "W48", "2026-48", "0001-W01", ""]
)
def test_what_is_no_week_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="--week"):
        Week.parse(text)
