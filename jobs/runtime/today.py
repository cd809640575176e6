"""What time it is: the one place that a report learns it from."""

import datetime


def now() -> datetime.datetime:
    """Return this moment, in UTC."""
    return datetime.datetime.now(tz=datetime.UTC)
