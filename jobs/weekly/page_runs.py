"""The page's words on runs: those with a folder here, and those that W&B alone knows."""

import datetime
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jobs.records.curves import last_position, read_curve
from jobs.records.runs import STATUSES, Run
from jobs.runtime.mirror import MAX_RUNS as MAX_MIRRORED
from jobs.runtime.mirror import Mirrored
from jobs.weekly.benches import RESULTS
from jobs.weekly.report import Report
from jobs.weekly.sums import latest_first
from jobs.weekly.text import NONE, Links, count, lasted, shorten, spark, table, thin, told
from pipeline.core.errors import InputError
from pipeline.core.numbers import number

MAX_RUNS = 5
SHOWN = {
    "train": (("validation_loss", ""), ("loss", ""), ("rate_img_per_s", "img/s")),
    "generate": (("num_images", "images"), ("rate_img_per_s", "img/s")),
    "prepare": (("num_images", "images"), ("num_rejected", "rejected")),
    "smoke": (("num_images", "images"), ("latency_p95_s", "s p95")),
}
"""Figures of a run that a lead looks for, with their units, by job; of others the first ones."""
NUM_SHOWN = 3
CURVE = "train/loss"
NUM_BARS = 16
ALONE = "on W&B alone"


def runs_section(report: Report, links: Links) -> Iterator[str]:
    """Yield how many runs of each job there were, and the newest of each."""
    elsewhere = report.elsewhere(report.week)
    if not report.now.runs and not elsewhere and report.mirror is None:
        return
    yield "## Runs"
    yield ""
    rows, newest = [], []
    for job in sorted({run.job for run in report.now.runs}):
        runs = latest_first(run for run in report.now.runs if run.job == job)
        rows.append(_job_row(job, runs))
        newest += [_run(run, report, links) for run in runs if not _has_result(run)][:MAX_RUNS]
    for job in sorted({run.job for run in elsewhere}):
        alike = [run for run in elsewhere if run.job == job]
        rows.append(_mirrored_row(job, alike))
        newest += [_mirrored(run) for run in alike[:MAX_RUNS]]
    if rows:
        yield from table(("job", "runs", *STATUSES, "time", "GPU-hours"), rows)
    yield from _silence(report)
    if newest:
        yield f"The newest {MAX_RUNS} of each job; bars: {CURVE} over time, from its least."
        yield ""
        head = ("run", "status", "began", "time", "attempts", "figures")
        yield from table(head, newest)


def _job_row(job: str, runs: Sequence[Run]) -> tuple[str, ...]:
    num = [f"{sum(run.status == status for run in runs):,}" for status in STATUSES]
    gpu_hours = sum(attempt.gpu_hours or 0.0 for run in runs for attempt in run.attempts)
    hours = sum(run.elapsed_s for run in runs) / 3600
    return (shorten(job), f"{len(runs):,}", *num, lasted(hours), told(gpu_hours))


def _silence(report: Report) -> Iterator[str]:
    """Yield what W&B did not say."""
    mirror = report.mirror
    if mirror is None:
        return
    project = shorten(mirror.project)
    if mirror.silence is not None:
        yield f"W&B was asked for runs of {project} and did not tell: {shorten(mirror.silence)}."
    else:
        known = [run for run in mirror.runs if report.week.has(run.created)]
        alone = len(report.elsewhere(report.week))
        more = f" The newest {MAX_MIRRORED:,} alone were read." if mirror.is_cut else ""
        yield (
            f"W&B has {count(len(known), 'run')} of the week in {project}; {alone:,} of them have "
            f"no folder here and are in no sum of this page.{more}"
        )
    yield ""


def _has_result(run: Run) -> bool:
    """Whether it stands in the table of benchmarks."""
    return run.job in RESULTS and run.status == "finished"


def _run(run: Run, report: Report, links: Links) -> tuple[str, ...]:
    return (
        links.to(run.path, above=report.places.runs_dir),
        run.status,
        _when(run.latest),
        lasted(run.hours),
        f"{len(run.attempts)}",
        _of_run(run),
    )


def _of_run(run: Run) -> str:
    words = figures_of(run.job, run.figures)
    if run.status != "finished" and (reached := last_position(run.run_dir.metrics)) is not None:
        words.insert(0, f"reached {told(reached)} images")
    if run.job == "train":
        words = [*words[:NUM_SHOWN], *_curve(run)]
    return ", ".join(words) or NONE


def _curve(run: Run) -> Iterator[str]:
    try:
        values = read_curve(run.run_dir.metrics, CURVE)[1]
    except InputError:
        yield "its curve cannot be read"
        return
    if len(values) > 1:
        yield spark(thin(values, NUM_BARS))


def figures_of(job: str, figures: Mapping[str, Any]) -> list[str]:
    """Return what a lead wants to know of one run, a few words each."""
    wanted = SHOWN.get(job) or tuple((name, "") for name in sorted(figures))
    return [
        told(value, unit) if unit else f"{shorten(name)} {told(value)}"
        for name, unit in wanted
        if not name.startswith("_") and (value := number(figures.get(name))) is not None
    ][:NUM_SHOWN]


def _mirrored_row(job: str, runs: Sequence[Mirrored]) -> tuple[str, ...]:
    hours = sum(run.elapsed_s or 0.0 for run in runs) / 3600
    num = [f"{sum(run.status == status for run in runs):,}" for status in STATUSES]
    return (f"{shorten(job) or 'unnamed'} {ALONE}", f"{len(runs):,}", *num, lasted(hours), NONE)


def _mirrored(run: Mirrored) -> tuple[str, ...]:
    name = "/".join(part for part in (run.job, run.group, run.name) if part)
    return (
        f"[{shorten(name)}](<{run.url}>) {ALONE}",
        shorten(run.state),
        _when(run.created),
        lasted(None if run.elapsed_s is None else run.elapsed_s / 3600),
        NONE,
        ", ".join(figures_of(run.job, run.figures)) or NONE,
    )


def _when(moment: datetime.datetime) -> str:
    return f"{moment.astimezone(datetime.UTC):%m-%d %H:%M}"
