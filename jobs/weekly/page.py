"""The page: Markdown that depends on the records and the week alone, so that git can show changes.

Rows of little bars stand where a picture would: a line that changed can be read in a diff.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from jobs.records.runs import STATUSES
from jobs.weekly.attention import attention
from jobs.weekly.failures import group_failures
from jobs.weekly.goals import MET, Milestone
from jobs.weekly.page_runs import runs_section
from jobs.weekly.page_use import energy_section, slurm_section
from jobs.weekly.report import Report
from jobs.weekly.sums import Sums
from jobs.weekly.text import NONE, Links, change, count, shorten, spark, table, told

MAX_FAILURES = 10
MAX_COMMITS = 20


def write_page(report: Report) -> str:
    """Return the whole file."""
    links = Links(report.places.page)
    lines = [
        *_head(report),
        *_attention(report, links),
        *_milestones(report, links),
        *_weeks(report),
        *_failures(report, links),
        *runs_section(report, links),
        *energy_section(report),
        *slurm_section(report),
        *_benches(report, links),
        *_commits(report),
    ]
    return "\n".join(lines).rstrip("\n") + "\n"


def _head(report: Report) -> Iterator[str]:
    now = report.now
    met = sum(each.state == MET for each in report.milestones)
    elsewhere = report.elsewhere(report.week)
    yield f"# Status of {report.week.label}"
    yield ""
    yield (
        f"{report.week.days}, UTC; made by `python -m jobs.status` from "
        f"{', '.join(_sources(report))}; not typed."
    )
    yield ""
    yield (
        f"{met} of {len(report.milestones)} milestones met. {count(len(now.runs), 'run')}: "
        f"{', '.join(f'{now.by_status[status]:,} {status}' for status in STATUSES)}. "
        + (f"{count(len(elsewhere), 'run')} more on W&B alone. " if elsewhere else "")
        + f"{count(now.images_made, 'image')} made, {count(now.num_trained, 'training')} finished, "
        f"{told(now.gpu_hours)} GPU-hours, "
        f"{count(len(report.history.of_week(report.week)), 'commit')}."
    )
    yield ""


def _sources(report: Report) -> Iterator[str]:
    """Yield what the page is made from: of those that were asked, those that answered."""
    yield count(len(report.found.runs), "run folder")
    yield count(len(report.benches.baselines), "measured baseline")
    for name, asked in (
        ("git", report.history), ("sacct", report.accounting), ("W&B", report.mirror),
    ):  # fmt: skip
        if asked is not None and asked.silence is None:
            yield name


def _attention(report: Report, links: Links) -> Iterator[str]:
    yield "## Needs attention"
    yield ""
    lines = attention(report, links)
    yield from (f"- {line}" for line in lines or ["Nothing."])
    yield ""


def _milestones(report: Report, links: Links) -> Iterator[str]:
    yield "## Milestones"
    yield ""
    rows = [
        (
            f"{each.name} {each.focus}",
            each.goal,
            _state(each, before),
            shorten(each.measured) or NONE,
            ", ".join(_records(report, links, each.sources)) or NONE,
            f"`{each.command}`",
        )
        for each, before in zip(report.milestones, report.milestones_before, strict=True)
    ]
    yield from table(("milestone", "goal", "state", "measured", "record", "measured by"), rows)


def _state(now: Milestone, before: Milestone) -> str:
    state = f"**{now.state}**" if now.state == MET else now.state
    return state if now.state == before.state else f"{state} (the week before: {before.state})"


def _records(report: Report, links: Links, sources: Sequence[Path]) -> Iterator[str]:
    # bench.json stands in a run folder, a baseline beside the others.
    places = report.places
    yield from (links.record(each, places.runs_dir, places.baselines_dir) for each in sources)


def _weeks(report: Report) -> Iterator[str]:
    yield "## Week over week"
    yield ""
    yield (
        "A run counts in the week in which its last attempt began, hours and energy in that of "
        f"their attempt. Bars: {len(report.weeks)} weeks, {report.weeks[-1].week.label} to "
        f"{report.week.label}, from 0."
    )
    yield ""
    now, then = report.weeks[:2]
    kinds = [_values(sums) for sums in report.weeks]
    rows: list[tuple[str, ...]] = [
        (
            name,
            told(kinds[0][name]),
            told(kinds[1][name]),
            change(kinds[0][name], kinds[1][name]),
            spark([each[name] for each in reversed(kinds)], lowest=0.0),
        )
        for name in kinds[0]
    ]
    if report.mirror is not None and report.mirror.silence is None:
        alone = [float(len(report.elsewhere(each.week))) for each in (now, then)]
        rows.append(("runs on W&B alone", *map(told, alone), change(*alone), NONE))
    yield from table(("", now.week.label, then.week.label, "change", "bars"), rows)


def _values(sums: Sums) -> dict[str, float | None]:
    return {
        "runs": len(sums.runs),
        "finished": sums.by_status["finished"],
        "failed": sums.by_status["failed"],
        "stopped": sums.by_status["stopped"],
        "attempts": sums.num_attempts,
        "attempts begun again": sums.num_again,
        "images made": sums.images_made,
        "trainings finished": sums.num_trained,
        "hours of attempts": sums.hours,
        "GPU-hours": sums.gpu_hours,
        "GPU-hours of attempts cut short": sums.cut_gpu_hours,
        "energy, kWh": sums.energy_kwh,
    }


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
        far = held.furthest
        most = f"{shorten(far.name)} {100 * (far.ratio or 1) - 100:+.0f} %" if far else NONE
        rows.append((shorten(result.bench), machine, verdict, most, link))
    if rows:
        head = ("bench", "machine", "rows against the baseline", "furthest (+ is better)", "result")
        yield from table(head, rows)
    places = [shorten(path.stem) for path in report.benches.places]
    if places:
        yield f"Baselines with no measurement yet: {', '.join(places)}."
        yield ""


def _commits(report: Report) -> Iterator[str]:
    yield "## Changes"
    yield ""
    if report.history.silence is not None:
        yield f"Not told: {shorten(report.history.silence)}."
        return
    commits = report.history.of_week(report.week)
    before = report.history.of_week(report.week.before())
    yield f"{count(len(commits), 'commit')} without merges; {len(before):,} the week before."
    yield ""
    yield from (
        f"- `{commit.sha}` {commit.when:%m-%d} {shorten(commit.subject)}"
        for commit in commits[:MAX_COMMITS]
    )
    if len(commits) > MAX_COMMITS:
        yield f"- ... and {len(commits) - MAX_COMMITS:,} before those"
    yield ""
