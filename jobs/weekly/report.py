"""Everything that one week's page tells, gathered from what is on disk and from who answers."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.telemetry.cost import Prices
from jobs.records.find import Found, find_runs
from jobs.records.runs import Run
from jobs.records.week import Week
from jobs.runtime.mirror import Answer, Mirrored, ask_wandb
from jobs.runtime.naming import run_id_of
from jobs.weekly.benches import Benches, Held, hold, read_benches
from jobs.weekly.goals import Goals, Milestone, milestones
from jobs.weekly.history import History, read_history
from jobs.weekly.slurm import Accounting, ask_sacct
from jobs.weekly.sums import Sums, latest_first, sum_week

CLOCKS_DIFFER = datetime.timedelta(hours=1)
"""What clocks of two machines may differ by."""
NUM_WEEKS = 6
"""Weeks that are drawn beside the two that are told, both included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where records are looked for, and the page is written."""

    runs_dir: Path
    baselines_dir: Path
    root: Path
    """Of the git repository."""
    page: Path
    wandb: str | None = None
    """``ENTITY/PROJECT`` on W&B; None: it is not asked."""


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
    milestones_before: Sequence[Milestone]
    """As they stood when the week began."""
    benches: Benches
    held: Sequence[Held]
    """Of this week's benchmarks."""
    accounting: Accounting
    history: History
    mirror: Answer | None
    """What W&B has of the week and the one before; None: it was not asked."""
    early: Sequence[Run]
    """Runs that began after this moment, as their records say: a clock is wrong."""

    @property
    def now(self) -> Sums:
        """This week's sums."""
        return self.weeks[0]

    def elsewhere(self, week: Week) -> list[Mirrored]:
        """Return a week's runs that W&B has and no folder here, the newest first."""
        if self.mirror is None:
            return []
        here = {run_id_of(run.path) for run in self.found.runs}
        return [run for run in self.mirror.runs if run.id not in here and week.has(run.created)]


def gather(
    places: Places,
    week: Week,
    *,
    goals: Goals,
    prices: Prices | None,
    moment: datetime.datetime,
) -> Report:
    """Read runs and benchmarks; ask Slurm, git and, where it is named, W&B.

    Args:
        places: Where.
        week: Which week.
        goals: What is to be reached.
        prices: Of everything; None: each run's own.
        moment: Now.

    Raises:
        InputError: There is no folder of runs, or W&B's project is not two names.
    """
    found = find_runs(places.runs_dir)
    benches = read_benches(places.baselines_dir, places.runs_dir, until=week.end)
    mirror = None
    if places.wandb is not None:
        mirror = ask_wandb(places.wandb, week.before().start, week.end)
    weeks = [sum_week(found.runs, week.before(back), prices=prices) for back in range(NUM_WEEKS)]
    return Report(
        week=week,
        places=places,
        prices=prices,
        found=found,
        weeks=weeks,
        milestones=milestones(found.runs, benches, goals, until=week.end),
        milestones_before=milestones(found.runs, benches, goals, until=week.start),
        benches=benches,
        held=hold(benches, since=week.start),
        accounting=ask_sacct(week),
        history=read_history(places.root),
        mirror=mirror,
        early=latest_first(run for run in found.runs if run.latest > moment + CLOCKS_DIFFER),
    )
