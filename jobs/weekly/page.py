"""The page: Markdown that depends on the records and the week alone, so that git can show changes.

A table of weeks stands where a chart would: a line that changed can be read in a diff.
"""

import datetime
from collections.abc import Iterator

from jobs.records.curves import last_position
from jobs.records.runs import STATUSES, Run
from jobs.weekly.attention import attention
from jobs.weekly.failures import group_failures
from jobs.weekly.goals import MET
from jobs.weekly.history import of_week
from jobs.weekly.page_use import energy_section, slurm_section
from jobs.weekly.report import Report
from jobs.weekly.sums import Sums, latest_first
from jobs.weekly.text import NONE, Links, change, count, lasted, shorten, table, told

MAX_RUNS = 5
MAX_FAILURES = 10
MAX_COMMITS = 20
SHOWN = {
    "train": (("validation_loss", ""), ("loss", ""), ("rate_img_per_s", "img/s")),
    "generate": (("num_images", "images"), ("rate_img_per_s", "img/s")),
    "prepare": (("num_images", "images"), ("num_rejected", "rejected")),
    "bench": (),
    "smoke": (("num_images", "images"), ("latency_p95_s", "s p95")),
}
"""Figures of a run that a lead looks for, with their units, by job; of others the first
ones. Benchmarks have a table of their own."""
NUM_SHOWN = 3


def write_page(report: Report) -> str:
    """Return the whole file."""
    links = Links(report.places.page)
    lines = [
        *_head(report),
        *_attention(report, links),
        *_milestones(report, links),
        *_weeks(report),
        *_failures(report, links),
        *_jobs(report, links),
        *energy_section(report),
        *slurm_section(report),
        *_benches(report, links),
        *_commits(report),
    ]
    return "\n".join(lines).rstrip("\n") + "\n"


def _head(report: Report) -> Iterator[str]:
    now = report.now
    met = sum(each.state == MET for each in report.milestones)
    commits = len(of_week(report.commits, report.week)) if report.commits else 0
    yield f"# Status of {report.week.label}"
    yield ""
    yield (
        f"{report.week.days}, UTC; made by `python -m jobs.status` from "
        f"{count(len(report.found.runs), 'run folder')}, "
        f"{count(len(report.benches.baselines), 'measured baseline')} and git; not typed."
    )
    yield ""
    yield (
        f"{met} of {len(report.milestones)} milestones met. {count(len(now.runs), 'run')}: "
        f"{', '.join(f'{now.by_status[status]:,} {status}' for status in STATUSES)}. "
        f"{count(now.images_made, 'image')} made, {count(now.num_trained, 'training')} finished, "
        f"{told(now.gpu_hours)} GPU-hours, {count(commits, 'commit')}."
    )
    yield ""


def _attention(report: Report, links: Links) -> Iterator[str]:
    yield "## Needs attention"
    yield ""
    lines = attention(report, links)
    yield from (f"- {line}" for line in lines or ["Nothing."])
    yield ""


def _milestones(report: Report, links: Links) -> Iterator[str]:
    yield "## Milestones"
    yield ""
    above = (report.places.runs_dir, report.places.baselines_dir)
    rows = []
    for each in report.milestones:
        link = NONE
        if each.source is not None:
            # bench.json stands in a run folder, a baseline beside the others.
            link = links.to(
                each.source, above=next(a for a in above if each.source.is_relative_to(a))
            )
        rows.append(
            (
                f"{each.name} {each.focus}",
                each.goal,
                f"**{each.state}**" if each.state == MET else each.state,
                shorten(each.measured) or NONE,
                link,
                f"`{each.command}`",
            )
        )
    yield from table(("milestone", "goal", "state", "measured", "record", "measured by"), rows)


def _weeks(report: Report) -> Iterator[str]:
    yield "## Week over week"
    yield ""
    yield (
        "A run counts in the week in which its last attempt began, hours and energy in that of "
        "their attempt."
    )
    yield ""
    now, then = report.weeks[:2]
    first = min((run.latest for run in report.found.runs), default=now.week.start)
    older = [_week_row(sums) for sums in report.weeks[2:] if sums.week.end > first]
    changes = ("change", *(change(a, b) for a, b in zip(_values(now), _values(then), strict=True)))
    head = (
        "week", "runs", "finished", "failed", "stopped", "attempts", "begun again", "images made",
        "trainings", "hours", "GPU-hours", "energy, kWh",
    )  # fmt: skip
    yield from table(head, [_week_row(now), changes, _week_row(then), *older])


def _values(sums: Sums) -> tuple[float | None, ...]:
    return (
        len(sums.runs),
        sums.by_status["finished"],
        sums.by_status["failed"],
        sums.by_status["stopped"],
        sums.num_attempts,
        sums.num_again,
        sums.images_made,
        sums.num_trained,
        sums.hours,
        sums.gpu_hours,
        sums.energy_kwh,
    )


def _week_row(sums: Sums) -> tuple[str, ...]:
    return (sums.week.label, *(told(value) for value in _values(sums)))


def _failures(report: Report, links: Links) -> Iterator[str]:
    failures = group_failures(report.now.runs)
    if not failures:
        return
    yield "## Failures"
    yield ""
    rows = [
        (
            f"{len(failure.runs):,}",
            failure.reason,
            links.to(failure.runs[0].path, above=report.places.runs_dir),
        )
        for failure in failures[:MAX_FAILURES]
    ]
    yield from table(("runs", "reason", "newest"), rows)
    if len(failures) > MAX_FAILURES:
        rest = failures[MAX_FAILURES:]
        runs = sum(len(failure.runs) for failure in rest)
        yield f"{len(rest):,} other reasons ended {runs:,} runs."
        yield ""


def _jobs(report: Report, links: Links) -> Iterator[str]:
    if not report.now.runs:
        return
    yield "## Runs"
    yield ""
    rows, newest = [], []
    for job in sorted({run.job for run in report.now.runs}):
        runs = latest_first(run for run in report.now.runs if run.job == job)
        hours = sum(run.hours or 0.0 for run in runs)
        num = [sum(run.status == status for run in runs) for status in STATUSES]
        rows.append((shorten(job), f"{len(runs):,}", *(f"{n:,}" for n in num), lasted(hours)))
        newest += runs[:MAX_RUNS]
    yield from table(("job", "runs", *STATUSES, "time"), rows)
    yield f"The newest {MAX_RUNS} of each job:"
    yield ""
    head = ("run", "status", "began", "time", "attempts", "figures")
    yield from table(head, [_run(run, report, links) for run in newest])


def _run(run: Run, report: Report, links: Links) -> tuple[str, ...]:
    return (
        links.to(run.path, above=report.places.runs_dir),
        run.status,
        f"{run.latest.astimezone(datetime.UTC):%m-%d %H:%M}",
        lasted(run.hours),
        f"{len(run.attempts)}",
        figures_of(run),
    )


def figures_of(run: Run) -> str:
    """Return what a lead wants to know of one run, in a few words."""
    wanted = SHOWN.get(run.job)
    if wanted is None:
        wanted = tuple((name, "") for name in run.figures if run.figure(name) is not None)
    found = [
        f"{told(value, unit)}" if unit else f"{shorten(name)} {told(value)}"
        for name, unit in wanted
        if (value := run.figure(name)) is not None
    ]
    if run.status != "finished" and (reached := last_position(run.run_dir.metrics)) is not None:
        found.insert(0, f"reached {told(reached)} images")
    return ", ".join(found[:NUM_SHOWN]) or NONE


def _benches(report: Report, links: Links) -> Iterator[str]:
    if not report.held and not report.benches.places:
        return
    yield "## Benchmarks"
    yield ""
    rows = []
    for held in report.held:
        verdict = "no baseline"
        if held.unlike:
            verdict = f"not comparable: {shorten(', '.join(held.unlike))} differ"
        elif held.baseline is not None:
            counts = [f"{held.num(name)} {name}" for name in ("better", "same", "worse", "lost")]
            verdict = ", ".join(counts)
        result = held.kept.result
        machine = shorten(f"{held.kept.machine[0]}, {held.kept.machine[1]}")
        link = links.to(held.kept.path, above=report.places.runs_dir)
        rows.append((shorten(result.bench), machine, verdict, link))
    if rows:
        yield from table(("bench", "machine", "rows against the baseline", "result"), rows)
    places = [shorten(path.stem) for path in report.benches.places]
    if places:
        yield f"Baselines with no measurement yet: {', '.join(places)}."
        yield ""


def _commits(report: Report) -> Iterator[str]:
    if report.commits is None:
        return
    commits = of_week(report.commits, report.week)
    before = of_week(report.commits, report.week.before())
    yield "## Changes"
    yield ""
    yield f"{count(len(commits), 'commit')} without merges; {len(before):,} the week before."
    yield ""
    yield from (
        f"- `{commit.sha}` {commit.when:%m-%d} {shorten(commit.subject)}"
        for commit in commits[:MAX_COMMITS]
    )
    if len(commits) > MAX_COMMITS:
        yield f"- ... and {len(commits) - MAX_COMMITS:,} before those"
    yield ""
