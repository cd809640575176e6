"""What a probe says."""

from dataclasses import dataclass
from enum import IntEnum


class Level(IntEnum):
    """How bad; the value is the exit status by which monitoring tells them apart."""

    OK = 0
    WARN = 1
    """Slower, or in the way later; a job may run."""
    CRITICAL = 2
    """A job would fail, hang, or compute on a broken GPU."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    name: str
    """What was looked at, such as ``gpu.count``."""
    found: str
    expected: str = ""
    todo: str = ""
    """What to do about it."""

    def __str__(self) -> str:
        """One line."""
        parts = [f"{self.name}: {self.found}"]
        parts += [f"expected {self.expected}"] if self.expected else []
        parts += [self.todo] if self.todo else []
        return "; ".join(parts)


def ok(name: str, found: str) -> Finding:
    """Nothing to do."""
    return Finding(level=Level.OK, name=name, found=found)


def warn(name: str, found: str, *, todo: str, expected: str = "") -> Finding:
    """Worth a look; stops nothing."""
    return Finding(level=Level.WARN, name=name, found=found, expected=expected, todo=todo)


def critical(name: str, found: str, *, todo: str, expected: str = "") -> Finding:
    """No job should start here."""
    return Finding(level=Level.CRITICAL, name=name, found=found, expected=expected, todo=todo)


def worst(findings: list[Finding]) -> Level:
    """Return the worst level of any; OK of none."""
    return max((finding.level for finding in findings), default=Level.OK)
