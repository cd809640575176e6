"""What a sweep says, in words: found, expected with its source, and what to make of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from bench.nccl.expect import JUDGED_FROM_BYTES, Expectation, expected
from bench.nccl.sweep import Sweep, SweepRow, human_size


class Level(Enum):
    """How bad it is."""

    none = "none"
    """There is nothing to judge by."""
    ok = "ok"
    warn = "warn"
    fail = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One sentence on one sweep."""

    level: Level
    text: str


def judge(sweep: Sweep) -> Verdict:
    """Compare a sweep's largest size with what is published for that setup."""
    row = sweep.largest
    if row is None:
        return _verdict(sweep, Level.fail, "nothing measured" + _notes(sweep))
    if sweep.wrong:
        return _verdict(sweep, Level.fail, f"{sweep.wrong} elements are wrong: see dmesg for XIDs")
    if not sweep.complete:
        broken = f"broke off at {human_size(row.size_bytes)}{_notes(sweep)}"
        return _verdict(sweep, Level.fail, broken)
    found = f"{_short(row.best.busbw)} GB/s at {human_size(row.size_bytes)}"
    if sweep.device == "CPU":
        return _verdict(sweep, Level.none, f"{found}; on a CPU, which says nothing of NVLink")
    published = expectation_of(sweep, row)
    if published is None:
        return _verdict(sweep, Level.none, f"{found}; nobody has published what to expect")
    return _against(sweep, row, published)


def nvls_gains(sweeps: Sequence[Sweep]) -> list[str]:
    """Say how much NVLink SHARP gains, at the largest size of each pair of sweeps."""
    told = []
    off = {(s.operation, s.num_ranks): s for s in sweeps if s.nvls is False}
    for on in (sweep for sweep in sweeps if sweep.nvls):
        other = off.get((on.operation, on.num_ranks))
        a, b = on.largest, other.largest if other else None
        if a and b and a.size_bytes == b.size_bytes and a.best.busbw and b.best.busbw:
            gain = a.best.busbw / b.best.busbw
            told.append(
                f"{on.operation} of {on.num_ranks}: NVLS gain {gain:.2f}x "
                f"at {human_size(a.size_bytes)}"
            )
    return told


def expectation_of(sweep: Sweep, row: SweepRow) -> Expectation | None:
    """Return what is published for a row's setup and size, or a smaller size."""
    return expected(
        sweep.device,
        sweep.operation,
        num_ranks=sweep.num_ranks or 0,
        num_nodes=sweep.num_nodes or 1,
        nvls=sweep.nvls,
        size_bytes=row.size_bytes,
    )


def _against(sweep: Sweep, row: SweepRow, published: Expectation) -> Verdict:
    busbw = row.best.busbw or 0.0
    span = _short(published.low)
    if published.high != published.low:
        span += f"-{_short(published.high)}"
    text = (
        f"{_short(busbw)} of {span} GB/s expected at {human_size(published.size_bytes)}, "
        f"source {published.source}"
    )
    if row.size_bytes != published.size_bytes:
        text = f"at {human_size(row.size_bytes)} {text}"
    if not published.is_gate:
        why = (
            "another network"
            if published.num_nodes > 1
            else f"sweep to {human_size(JUDGED_FROM_BYTES)} before judging"
        )
        return _verdict(sweep, Level.none, f"{text}; {why}")
    if busbw < published.fail_below:
        return _verdict(sweep, Level.fail, f"{text}; below {_short(published.fail_below)}")
    if busbw < published.warn_below:
        return _verdict(sweep, Level.warn, f"{text}; below {_short(published.warn_below)}")
    return _verdict(sweep, Level.ok, text)


def _verdict(sweep: Sweep, level: Level, text: str) -> Verdict:
    nvls = "" if sweep.nvls is None else f", NVLS {'on' if sweep.nvls else 'off'}"
    head = f"{sweep.operation} of {sweep.num_ranks or 'unknown'}{nvls}"
    return Verdict(level=level, text=f"{level.value}: {head}: {text}")


def _notes(sweep: Sweep) -> str:
    return f" ({'; '.join(sweep.notes)})" if sweep.notes else ""


def _short(value: float | None) -> str:
    assert value is not None
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
