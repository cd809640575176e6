"""What the runs of one week add up to, and how much of it was measured."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bench.telemetry.cost import J_PER_KWH, Prices
from jobs.records.runs import Attempt, Run
from jobs.records.week import Week
from pipeline.core.numbers import number


@dataclass(slots=True, kw_only=True)
class Sums:
    """Runs count in the week in which their last attempt began, attempts in that of their own."""

    week: Week
    runs: list[Run] = field(default_factory=list)
    by_status: Counter[str] = field(default_factory=Counter)
    num_attempts: int = 0
    num_again: int = 0
    """Attempts that were not a run's first: requeued, or asked for again."""
    images_made: float = 0
    """Of runs of ``generate``."""
    images_trained: float = 0
    """Images seen by runs of ``train``, each time they were seen."""
    num_trained: int = 0
    """Trainings that finished."""
    hours: float = 0.0
    gpu_hours: float = 0.0
    cut_gpu_hours: float = 0.0
    """Of those, attempts that did not come to their end: stopped, requeued, killed or failed."""
    cpu_hours: float | None = None
    energy_kwh: float | None = None
    costs: dict[str, float] = field(default_factory=dict)
    """By currency; empty: no price is set, or nothing to pay for is known."""
    num_priced: int = 0
    num_timed: int = 0
    """Attempts whose GPU-hours are known."""
    num_metered: int = 0
    num_with_energy: int = 0
    gpu_seen_s: float = 0.0
    """GPU time that samples speak for."""
    xids: Counter[int] = field(default_factory=Counter)
    throttled_s: dict[str, float] = field(default_factory=dict)


def sum_week(runs: Sequence[Run], week: Week, *, prices: Prices | None) -> Sums:
    """Add up one week.

    Args:
        runs: All there are.
        week: Which week.
        prices: Of everything; None: each run's own, as its config said.
    """
    sums = Sums(week=week)
    for run in runs:
        if week.has(run.latest):
            _add_run(sums, run)
        for index, attempt in enumerate(run.attempts):
            if week.has(attempt.began):
                sums.num_again += index > 0
                _add_attempt(sums, attempt, prices or run.prices)
    return sums


def _add_run(sums: Sums, run: Run) -> None:
    sums.runs.append(run)
    sums.by_status[run.status] += 1
    images = run.figure("num_images") or 0
    if run.job == "generate":
        sums.images_made += images
    elif run.job == "train":
        sums.images_trained += images
        sums.num_trained += run.status == "finished"


def _add_attempt(sums: Sums, attempt: Attempt, prices: Prices) -> None:
    sums.num_attempts += 1
    sums.hours += (attempt.elapsed_s or 0.0) / 3600
    gpu_hours = attempt.gpu_hours
    if gpu_hours is not None:
        sums.num_timed += 1
        sums.gpu_hours += gpu_hours
        sums.cut_gpu_hours += gpu_hours if attempt.reason else 0.0
    energy_kwh = _add_telemetry(sums, attempt) if attempt.telemetry else None
    # As bench.telemetry.cost: no GPU is nothing to pay for, rather than a cost of nothing.
    _add_cost(sums, gpu_hours or None, energy_kwh, prices)


def _add_telemetry(sums: Sums, attempt: Attempt) -> float | None:
    told = attempt.telemetry
    sums.num_metered += 1
    sums.gpu_seen_s += number(told.get("gpu_s")) or 0.0
    sums.xids.update(told["xids"])
    for reason, time_s in told["throttled_s"].items():
        sums.throttled_s[reason] = sums.throttled_s.get(reason, 0.0) + (number(time_s) or 0.0)
    cpu_s, energy_j = number(told.get("cpu_s")), number(told.get("energy_j"))
    if cpu_s is not None:
        sums.cpu_hours = (sums.cpu_hours or 0.0) + cpu_s / 3600
    if energy_j is None:
        return None
    sums.num_with_energy += 1
    sums.energy_kwh = (sums.energy_kwh or 0.0) + energy_j / J_PER_KWH
    return energy_j / J_PER_KWH


def _add_cost(
    sums: Sums, gpu_hours: float | None, energy_kwh: float | None, prices: Prices
) -> None:
    parts = [
        amount * price
        for amount, price in ((gpu_hours, prices.per_gpu_hour), (energy_kwh, prices.per_kwh))
        if amount is not None and price is not None
    ]
    if parts:
        sums.num_priced += 1
        sums.costs[prices.currency] = sums.costs.get(prices.currency, 0.0) + sum(parts)


def latest_first(runs: Iterable[Run]) -> list[Run]:
    """Return runs by their last attempt, the newest first; by path where they are alike."""
    return sorted(runs, key=lambda run: (-run.latest.timestamp(), str(run.path)))
