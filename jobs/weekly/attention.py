"""What a person should look at first, worst first; each a line that says what to do."""

from collections.abc import Iterator

from bench.preflight.xid import Xid
from jobs.records.runs import Run
from jobs.weekly.goals import MET, NO_GOAL
from jobs.weekly.report import Report
from jobs.weekly.slurm import ended, sum_slurm
from jobs.weekly.sums import latest_first
from jobs.weekly.text import Links, count, share, shorten, told

MAX_LINES = 5
"""Of one kind; the rest is a number."""
MOST_LOST = 0.1
"""Share of Slurm's GPU-hours that may go into attempts that were requeued or failed."""
LEAST_COVERAGE = 0.95
"""Share of GPU attempts below which the week's energy is not that of the week."""


def attention(report: Report, links: Links) -> list[str]:
    """Return lines of Markdown."""
    return [
        *_broken(report, links),
        *_lost(report, links),
        *_early(report, links),
        *_hardware(report),
        *_failed(report),
        *_stopped(report, links),
        *_wasted(report),
        *_worse(report, links),
        *_unmetered(report),
        *_waiting(report),
        *_goals(report),
    ]


def _few(lines: list[str], what: str) -> Iterator[str]:
    yield from lines[:MAX_LINES]
    if len(lines) > MAX_LINES:
        yield f"... and {len(lines) - MAX_LINES:,} more {what}."


def _broken(report: Report, links: Links) -> Iterator[str]:
    runs_dir, baselines_dir = report.places.runs_dir, report.places.baselines_dir
    lines = [
        f"**Cannot be read**: {links.record(path, runs_dir, baselines_dir)}: {shorten(said)}."
        for path, said in sorted([*report.found.problems, *report.benches.problems])
    ]
    yield from _few(lines, "records that cannot be read")
    if report.accounting.num_unread:
        yield f"**sacct**: {report.accounting.num_unread:,} lines are not as documented; left out."


def _lost(report: Report, links: Links) -> Iterator[str]:
    """Yield runs that say they run, where Slurm or the calendar says they do not."""
    states = dict(ended(report.accounting.jobs))
    lines = []
    for run in latest_first(r for r in report.found.runs if r.status == "running"):
        link = _link(report, links, run)
        state = states.get(run.attempts[-1].job_id)
        if state:
            lines.append(f"**Lost**: {link} says that it runs; Slurm says {shorten(state)}.")
        elif run.latest < report.week.start:
            since = f"{run.latest:%Y-%m-%d}"
            lines.append(f"**Silent**: {link} says that it runs, since {since}; look, or resubmit.")
    yield from _few(lines, "that say they run and may not")


def _early(report: Report, links: Links) -> Iterator[str]:
    if report.early:
        newest = _link(report, links, report.early[0])
        yield (
            f"**Clock**: {count(len(report.early), 'run')} began later than now, such as {newest} "
            f"({report.early[0].latest:%Y-%m-%d}); a machine's clock is wrong."
        )


def _hardware(report: Report) -> Iterator[str]:
    for xid, num in sorted(report.now.xids.items()):
        action = Xid(bus="", code=xid, text="").action
        yield f"**XID {xid}** in {count(num, 'attempt')}: {action.value}."
    for reason, time_s in sorted(report.now.throttled_s.items()):
        if time_s >= 1:
            yield f"**Throttled** ({shorten(reason)}): {told(time_s / 60, 'min')} of GPU time."


def _failed(report: Report) -> Iterator[str]:
    num = report.now.by_status["failed"]
    if num:
        of_all = share(num, len(report.now.runs))
        yield f"**Failed**: {of_all} of the week's runs; reasons below."
    elsewhere = report.elsewhere(report.week)
    num = sum(run.status == "failed" for run in elsewhere)
    if num:
        yield f"**Failed elsewhere**: {share(num, len(elsewhere))} of the runs on W&B alone."


def _stopped(report: Report, links: Links) -> Iterator[str]:
    stopped = latest_first(run for run in report.now.runs if run.status == "stopped")
    if stopped:
        newest = _link(report, links, stopped[0])
        yield (
            f"**Stopped** and not gone on with: {len(stopped):,}, the newest {newest}; "
            "`python -m jobs.resubmit RUN` goes on."
        )


def _wasted(report: Report) -> Iterator[str]:
    sums = sum_slurm(report.accounting.jobs, report.week)
    if sums.lost_gpu_hours > MOST_LOST * sums.gpu_hours:
        lost = sums.lost_gpu_hours / sums.gpu_hours
        yield (
            f"**Requeued or failed**: {told(sums.lost_gpu_hours)} of {told(sums.gpu_hours)} "
            f"GPU-hours ({100 * lost:.0f} %) that Slurm counted."
        )


def _worse(report: Report, links: Links) -> Iterator[str]:
    for held in report.held:
        for change in held.worse[:MAX_LINES]:
            link = links.to(held.kept.path, above=report.places.runs_dir)
            yield (
                f"**Slower than the baseline**: {shorten(held.kept.result.bench)} "
                f"{shorten(change.name)}, {told(change.before, change.unit)} then, "
                f"{told(change.after, change.unit)} now; {link}."
            )
        if len(held.worse) > MAX_LINES:
            num = len(held.worse) - MAX_LINES
            yield f"... and {num} more rows of {shorten(held.kept.result.bench)}."


def _unmetered(report: Report) -> Iterator[str]:
    now = report.now
    if now.gpu_hours and now.gpu_seen_s < LEAST_COVERAGE * now.gpu_hours * 3600:
        seen = now.gpu_seen_s / 3600 / now.gpu_hours
        yield f"**Energy** is of {100 * seen:.0f} % of the GPU time; the rest was not sampled."


def _waiting(report: Report) -> Iterator[str]:
    num = len(report.found.waiting)
    if num:
        frozen = count(num, "frozen run folder")
        yield f"**Never begun**: {frozen} without a record; queued, or lost."


def _goals(report: Report) -> Iterator[str]:
    for each in report.milestones:
        if each.state == NO_GOAL:
            yield f"**{each.name}** has no goal; docs/status.md says how to set one."
        elif each.state != MET:
            measured = f" ({shorten(each.measured)})" if each.measured else ""
            yield f"**{each.name}** is {each.state}{measured}; `{each.command}`."


def _link(report: Report, links: Links, run: Run) -> str:
    return links.to(run.path, above=report.places.runs_dir)
