"""What a metric is: its name and unit, which way is better, and where its formula is from."""

from dataclasses import dataclass
from enum import Enum


class Scope(Enum):
    """What one value of a metric is about."""

    image = "image"
    """One picture."""
    pair = "pair"
    """Two pictures of the same thing."""
    set = "set"
    """A set of pictures, against another set or by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricInfo:
    """One metric, as ``docs/metrics.md`` and reports tell it."""

    name: str
    """In snake case, the unit last where there is one, such as ``psnr_db``."""
    unit: str
    """Empty for a number without one."""
    higher_is_better: bool | None
    """None: neither end is good in itself."""
    scope: Scope
    formula: str
    """One line."""
    source: str
    """Paper, page, or ``this project``."""
    needs: str | None = None
    """What must be there beyond the lock; None: nothing."""


class UnavailableError(Exception):
    """A metric cannot be had here: one line that says why, and how to get it."""
