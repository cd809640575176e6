"""What records tell: figures with their intervals, and values as JSON has them."""

import math
from dataclasses import dataclass
from enum import Enum
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """A figure with its 95 % interval, as records tell it; None where it cannot be told."""

    value: float | None
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, value: float, low: float, high: float) -> "Interval":
        """Take figures as they were computed: NaN and infinity cannot be told."""
        told = (float(each) if math.isfinite(each) else None for each in (value, low, high))
        return cls(**dict(zip(("value", "low", "high"), told, strict=True)))

    @property
    def is_above_zero(self) -> bool:
        """Whether all of the interval is above zero."""
        return self.low is not None and self.low > 0

    @property
    def is_below_zero(self) -> bool:
        """Whether all of the interval is below zero."""
        return self.high is not None and self.high < 0

    def __str__(self) -> str:
        """Such as ``3.42 (3.10 to 3.71)``."""
        if self.value is None:
            return "not defined"
        if self.low is None or self.high is None:
            return f"{self.value:.2f} (no interval)"
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


def plain(value: Any) -> Any:
    """Return a value as JSON has it: tuples as lists, enums by value, NaN and infinity as null."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
