"""Failed runs by reason: a thousand alike are one line."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from jobs.records.runs import Run
from jobs.weekly.sums import latest_first
from jobs.weekly.text import shorten

NO_REASON = "no reason was left"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One reason."""

    reason: str
    """Of the newest run, fit for the page."""
    runs: tuple[Run, ...]
    """The newest first."""


def group_failures(runs: Iterable[Run]) -> list[Failure]:
    """Group failed runs whose reasons differ in numbers and names of files at most.

    The most frequent first.
    """
    groups: dict[str, list[Run]] = {}
    for run in latest_first(run for run in runs if run.status == "failed"):
        groups.setdefault(_shape(run.reason), []).append(run)
    failures = [
        Failure(reason=shorten(alike[0].reason) or NO_REASON, runs=tuple(alike))
        for alike in groups.values()
    ]
    return sorted(failures, key=lambda failure: (-len(failure.runs), failure.reason))


def _shape(reason: str) -> str:
    return re.sub(r"\S*/\S*|\d[\w.]*", "#", reason)
