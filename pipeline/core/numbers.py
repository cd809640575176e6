"""What counts as a number in a file that somebody else may have written."""

from typing import Any

LARGEST = 1e18
"""Nothing that is counted here is as large."""


def number(value: Any) -> int | float | None:
    """Return a finite number as it is, anything else as None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # Whole numbers have no end in JSON, but floats do. NaN is not below anything.
    return value if abs(value) < LARGEST else None
