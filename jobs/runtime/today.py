"""Which week it is: the one place that a report learns the date from."""

import datetime

from jobs.records.week import Week


def this_week() -> Week:
    """Return the ISO week of this moment, in UTC."""
    return Week.of(datetime.datetime.now(tz=datetime.UTC))
