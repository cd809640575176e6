"""Everything that one week's page tells, gathered from what is on disk."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.telemetry.cost import Prices
from jobs.records.find import Found, find_runs
from jobs.records.week import Week
from jobs.weekly.benches import Benches, Held, hold, read_benches
from jobs.weekly.goals import Goals, Milestone, milestones
from jobs.weekly.history import Commit, read_history
from jobs.weekly.slurm import Accounting, ask_sacct
from jobs.weekly.sums import Sums, sum_week

NUM_WEEKS = 6
"""Weeks in the table of weeks, this one included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where records are looked for, and the page is written."""

    runs_dir: Path
    baselines_dir: Path
    root: Path
    """Of the git repository."""
    page: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One week."""

    week: Week
    places: Places
    prices: Prices | None
    """Of everything, as given; None: each run's own."""
    found: Found
    weeks: Sequence[Sums]
    """The newest first, which is this one."""
    milestones: Sequence[Milestone]
    benches: Benches
    held: Sequence[Held]
    """Of this week's benchmarks."""
    accounting: Accounting
    commits: list[Commit] | None
    """All there are; None: no repository."""

    @property
    def now(self) -> Sums:
        """This week's sums."""
        return self.weeks[0]


def gather(places: Places, week: Week, *, goals: Goals, prices: Prices | None) -> Report:
    """Read runs, benchmarks, Slurm's accounting and git.

    Raises:
        InputError: There is no folder of runs.
    """
    found = find_runs(places.runs_dir)
    benches = read_benches(places.baselines_dir, places.runs_dir, until=week.end)
    weeks = [sum_week(found.runs, week.before(back), prices=prices) for back in range(NUM_WEEKS)]
    return Report(
        week=week,
        places=places,
        prices=prices,
        found=found,
        weeks=weeks,
        milestones=milestones(found.runs, benches, goals, until=week.end),
        benches=benches,
        held=hold(benches, since=week.start),
        accounting=ask_sacct(week),
        commits=read_history(places.root),
    )
