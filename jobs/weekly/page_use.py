"""The page's words on what a week used: energy, money, Slurm."""

from collections.abc import Iterator

from jobs.weekly.report import Report
from jobs.weekly.slurm import quantiles, sum_slurm
from jobs.weekly.sums import Sums
from jobs.weekly.text import NONE, change, share, shorten, table, told

NOT_MEASURED = "not measured"


def energy_section(report: Report) -> Iterator[str]:
    """Yield energy and cost, each with how much of the week it speaks for."""
    now, then = report.weeks[:2]
    yield "## Energy and cost"
    yield ""
    rows = [
        _row("GPU-hours (run records)", now.gpu_hours, then.gpu_hours,
             f"{share(now.num_timed, now.num_attempts)} attempts"),
        _row("CPU-hours", now.cpu_hours, then.cpu_hours,
             f"{share(now.num_metered, now.num_attempts)} attempts with telemetry"),
        _row("energy, kWh", now.energy_kwh, then.energy_kwh,
             f"{share(now.num_with_energy, now.num_attempts)} attempts with a counter"),
        *_cost_rows(report, now, then),
    ]  # fmt: skip
    yield from table(("", "this week", "change", "of"), rows)
    if not now.costs:
        yield (
            "No cost: no price is set, or nothing that has a price was counted "
            "(`--price-per-gpu-hour`, `--price-per-kwh`, or `telemetry.price_*` of the runs)."
        )
        yield ""


def _row(name: str, now: float | None, then: float | None, of: str) -> tuple[str, ...]:
    return (name, NOT_MEASURED if now is None else told(now), change(now, then), of)


def _cost_rows(report: Report, now: Sums, then: Sums) -> Iterator[tuple[str, ...]]:
    whose = "prices of the runs' configs" if report.prices is None else "prices as given"
    for currency in sorted(now.costs):
        yield _row(
            f"cost, {shorten(currency)}",
            round(now.costs[currency], 2),
            then.costs.get(currency),
            f"{share(now.num_priced, now.num_attempts)} attempts; {whose}",
        )


def slurm_section(report: Report) -> Iterator[str]:
    """Yield what Slurm's accounting says of the week."""
    yield "## Slurm"
    yield ""
    if report.accounting.silence is not None:
        yield f"Not told: {shorten(report.accounting.silence)}."
        yield ""
        return
    jobs = report.accounting.jobs
    now, then = (sum_slurm(jobs, week) for week in (report.week, report.week.before()))
    ours = {attempt.job_id for run in report.found.runs for attempt in run.attempts}
    own = sum_slurm([job for job in jobs if job.ids & ours], report.week)
    rows = [
        (name, told(value), change(value, before))
        for name, value, before in (
            ("jobs", now.num_jobs, then.num_jobs),
            ("attempts, requeued ones counted", now.num_attempts, then.num_attempts),
            ("GPU-hours of all attempts", now.gpu_hours, then.gpu_hours),
            ("GPU-hours of attempts requeued or failed", now.lost_gpu_hours, then.lost_gpu_hours),
        )
    ]
    rows.append(("GPU-hours of jobs with a run folder", told(own.gpu_hours), ""))
    yield from table(("", "this week", "change"), rows)
    waits = [
        (
            shorten(partition),
            f"{len(values):,}",
            *map(told, quantiles(values)),
            told(quantiles(then.waits_min[partition])[0]) if partition in then.waits_min else NONE,
        )
        for partition, values in sorted(now.waits_min.items())
    ]
    if waits:
        yield "Queue wait in minutes, from when an attempt might have begun to when it did:"
        yield ""
        yield from table(
            ("partition", "attempts", "median", "p95", "longest", "median the week before"), waits
        )
