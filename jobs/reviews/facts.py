"""From runs to what the review shows: rows of tables and pictures, newest first."""

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobs.records.runs import Run
from jobs.records.week import Week
from pipeline.core.errors import InputError
from pipeline.core.numbers import number

FIGURES = {
    "train": ("loss", "validation_loss", "rate_img_per_s"),
    "generate": ("num_images", "rate_img_per_s", "num_not_accepted"),
    "prepare": ("num_images", "num_validation", "num_rejected"),
    "smoke": ("rate_img_per_s", "latency_p95_s", "peak_memory_mib"),
}
"""Figures of ``run.json`` that a row of runs shows, by job."""
MAX_FIGURES = 3
MAX_CASES = 12
"""Prompts of one evaluation that are shown."""
MAX_PICTURE_BYTES = 2 * 2**20
"""A larger picture stays where it is: the page is to be sent and opened."""
PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """A sheet of pictures that a run left."""

    name: str
    what: str
    png: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Hours:
    """What runs had of the machines."""

    job: str
    num_runs: int = 0
    num_attempts: int = 0
    gpu_hours: float = 0.0
    num_unknown: int = 0
    """Runs whose GPU-hours are not known: not in ``gpu_hours``."""
    cpu_hours: float = 0.0
    energy_kwh: float = 0.0
    num_metered: int = 0
    """Runs whose energy was measured."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """One evaluation of a LoRA against its base."""

    name: str
    report: Mapping[str, Any]
    chart: bytes
    """Differences and nearness to training art; empty: the run left none."""
    cases: Sequence["Pair"] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """One prompt as every set has it."""

    prompt: str
    what: str
    pictures: Mapping[str, bytes]
    """By set, the base first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """The newest run of a bench on one hardware, and the one before it."""

    name: str
    bench: str
    hardware: str
    rows: Sequence[Mapping[str, Any]]
    before: str = ""
    """The run before; empty: it is the first."""
    changes: Mapping[str, float] = field(default_factory=dict)
    """By row: the median's growth since, as a share; both have the row, in one unit."""


def figures_of(run: Run) -> dict[str, Any]:
    """Return the few figures that tell most of a run."""
    wanted = FIGURES.get(run.job, tuple(run.figures))
    known = {name: run.figures[name] for name in wanted if run.figure(name) is not None}
    return dict(list(known.items())[:MAX_FIGURES])


def samples_of(run: Run) -> list[Sample]:
    """Return a training's last sample grid, or a generation's contact sheet."""
    grids = sorted(run.run_dir.samples.glob("*.png"))
    found = [(path, f"after {int(path.stem)} images") for path in grids if path.stem.isdigit()][-1:]
    if run.run_dir.contact_sheet.is_file():
        found.append((run.run_dir.contact_sheet, f"{run.job}: the first images"))
    pictures = [(what, _picture(path)) for path, what in found]
    return [Sample(name=run.name, what=what, png=png) for what, png in pictures if png]


def newest_samples(runs: Iterable[Run]) -> list[Sample]:
    """Return one sheet of each job and experiment, trainings first.

    Args:
        runs: Newest first.
    """
    found: dict[str, Sample] = {}
    for run in runs:
        group = run.name.rpartition("/")[0]
        if group not in found:
            found.update((group, sample) for sample in samples_of(run))
    return sorted(found.values(), key=lambda sample: not sample.name.startswith("train/"))


def compared(runs: Iterable[Run]) -> list[Compared]:
    """Return evaluations that have a report, newest first.

    Raises:
        InputError: A report is of another format.
    """
    found = []
    for run in runs:
        report = run.told("report.json")
        if report is not None:
            chart = _picture(run.run_dir.path / "report.png")
            cases = _cases(report)
            found.append(Compared(name=run.name, report=report, chart=chart, cases=cases))
    return found[::-1]


def _cases(report: Mapping[str, Any]) -> list[Pair]:
    """Return the report's first cases of which a picture is still where it was."""
    found: list[Pair] = []
    for case in report.get("cases", []):
        folders = {name: Path(about["path"]) for name, about in report["sets"].items()}
        pictures = {
            name: _picture(folder / "images" / case["file"]) or _picture(folder / case["file"])
            for name, folder in folders.items()
        }
        there = {name: png for name, png in pictures.items() if png}
        if there and len(found) < MAX_CASES:
            what = f"{'best' if case['is_best'] else 'worst'} {case['metric']}"
            found.append(Pair(prompt=str(case["prompt"]), what=what, pictures=there))
    return found


def benches(runs: Iterable[Run]) -> list[Bench]:
    """Return the newest run of each bench and hardware, beside the one before.

    Args:
        runs: Oldest first.

    Raises:
        InputError: A ``bench.json`` is of another format.
    """
    newest: dict[tuple[str, str], Bench] = {}
    for run in runs:
        told = run.told("bench.json")
        if told is None:
            continue
        key = (str(told["bench"]), str(told["conditions"]["hardware"]))
        before = newest.get(key)
        rows = [row for row in told["rows"] if row["median"] is not None]
        newest[key] = Bench(
            name=run.name,
            bench=key[0],
            hardware=key[1],
            rows=rows,
            before=before.name if before else "",
            changes=_changes(before.rows, rows) if before else {},
        )
    return [newest[key] for key in sorted(newest)]


def hours_by_job(runs: Iterable[Run]) -> list[Hours]:
    """Sum up what the runs had, by job."""
    by_job: dict[str, list[Run]] = {}
    for run in runs:
        by_job.setdefault(run.job, []).append(run)
    return [_hours(job, by_job[job]) for job in sorted(by_job)]


def hours_by_week(runs: Sequence[Run]) -> dict[str, dict[str, float]]:
    """Return GPU-hours by ISO week of a run's start, and by job; weeks in order, none left out.

    Args:
        runs: Oldest first.
    """
    weeks: dict[str, dict[str, float]] = {}
    if not runs:
        return weeks
    week, last = (Week.of(datetime.datetime.fromisoformat(runs[at].started)) for at in (0, -1))
    while week <= last:
        weeks[week.label] = {}
        week = week.before(-1)
    for run in runs:
        hours = weeks[Week.of(datetime.datetime.fromisoformat(run.started)).label]
        hours[run.job] = hours.get(run.job, 0.0) + (run.gpu_hours or 0.0)
    return weeks


def _hours(job: str, runs: Sequence[Run]) -> Hours:
    energy = [number(run.telemetry.get("energy_kwh")) for run in runs]
    return Hours(
        job=job,
        num_runs=len(runs),
        num_attempts=sum(len(run.attempts) for run in runs),
        gpu_hours=sum(run.gpu_hours or 0.0 for run in runs),
        num_unknown=sum(run.gpu_hours is None for run in runs),
        cpu_hours=sum(number(run.telemetry.get("cpu_hours")) or 0.0 for run in runs),
        energy_kwh=sum(each for each in energy if each is not None),
        num_metered=sum(each is not None for each in energy),
    )


def _changes(
    before: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]
) -> dict[str, float]:
    was = {(row["name"], row["unit"]): row["median"] for row in before}
    known = [row for row in rows if was.get((row["name"], row["unit"]))]
    return {row["name"]: row["median"] / was[row["name"], row["unit"]] - 1 for row in known}


def _picture(path: Path) -> bytes:
    """Read a PNG; empty where it is missing, none, or too large for a page."""
    if not path.is_file() or path.stat().st_size > MAX_PICTURE_BYTES:
        return b""
    data = path.read_bytes()
    return data if data.startswith(PNG) else b""


def told_or_listed(run: Run, broken: list[str]) -> bool:
    """Say whether a run's own files are understood; what is not goes to ``broken``."""
    try:
        for name in ("bench.json", "report.json"):
            run.told(name)
    except InputError as error:
        broken.append(str(error))
        return False
    return True
