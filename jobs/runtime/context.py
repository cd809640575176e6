"""What a job's ``run`` function is given."""

from collections.abc import Callable
from dataclasses import dataclass

from jobs.runtime.trackers import Trackers
from pipeline.core.rundir import RunDir
from pipeline.core.world import World


@dataclass(frozen=True, kw_only=True, slots=True)
class JobContext:
    """The world a job runs in."""

    world: World
    run_dir: RunDir
    tracker: Trackers
    should_stop: Callable[[], bool]
    """Collective: every rank must call it alike."""
    stop_requested: Callable[[], bool]
    """Local: this process alone."""
