"""Two results of one bench side by side; unlike conditions are refused, not explained away."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from bench.record import BenchResult, Row
from pipeline.core.errors import InputError

NOISE = 0.05
"""Changes of the median within this share are noise: what repeats on one machine differ by."""


@dataclass(frozen=True, slots=True)
class Change:
    """One row in both."""

    name: str
    unit: str
    before: float | None
    after: float | None
    ratio: float | None
    """Above 1 is better, whichever way the row counts; None: there is none, as with 0."""
    verdict: str
    """``better``, ``worse``, ``same``, ``lost`` (it was measured before), ``not measured``."""


def compare_results(
    before: BenchResult, after: BenchResult, *, allow: tuple[str, ...] = (), noise: float = NOISE
) -> list[Change]:
    """Compare row by row.

    Args:
        before: The baseline.
        after: What is held against it.
        allow: Fields that may differ, such as ``conditions.versions.torch``.
        noise: Share of the median that counts as no change.

    Raises:
        InputError: They are not of one bench, or their conditions or settings differ; the line
            names the field and both values.
    """
    if before.bench != after.bench:
        raise InputError(f"bench: {before.bench} and {after.bench} are not the same benchmark")
    for name, was, now in unlike(before, after):
        if not any(name == each or name.startswith(f"{each}.") for each in allow):
            raise InputError(
                f"{name}: {was!r} before, {now!r} now; figures under unlike conditions say nothing "
                f"(--allow {name} compares all the same)"
            )
    rows = {row.name: row for row in after.rows}
    return [_change(row, rows.get(row.name), noise) for row in before.rows]


def unlike(before: BenchResult, after: BenchResult) -> Iterator[tuple[str, Any, Any]]:
    """Yield every condition and setting that differs: dotted name, both values."""
    for part in ("conditions", "settings"):
        was, now = getattr(before, part), getattr(after, part)
        yield from _differences(
            was if isinstance(was, dict) else asdict(was),
            now if isinstance(now, dict) else asdict(now),
            f"{part}.",
        )


def _differences(
    was: dict[str, Any], now: dict[str, Any], prefix: str
) -> Iterator[tuple[str, Any, Any]]:
    for key in sorted(was.keys() | now.keys()):
        left, right = was.get(key), now.get(key)
        if isinstance(left, dict) and isinstance(right, dict):
            yield from _differences(left, right, f"{prefix}{key}.")
        elif left != right:
            yield prefix + key, left, right


def _change(before: Row, after: Row | None, noise: float) -> Change:
    now = after.median if after else None
    ratio = None
    if before.median and now:
        ratio = now / before.median if before.higher_is_better else before.median / now
    if before.median is None:
        verdict = "not measured"
    elif now is None:
        verdict = "lost"
    elif now == before.median or (ratio is not None and abs(ratio - 1) <= noise):
        verdict = "same"
    else:
        verdict = "better" if (now > before.median) == before.higher_is_better else "worse"
    return Change(before.name, before.unit, before.median, now, ratio, verdict)
