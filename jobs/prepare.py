"""Make a data set: ``python -m jobs.prepare +dataset=tiles32``."""

import sys

from jobs.conf import PrepareJob
from jobs.runtime.cli import main
from jobs.runtime.context import JobContext
from pipeline.core.outcome import Outcome

SCHEMA = PrepareJob


def run(cfg: PrepareJob, context: JobContext) -> Outcome:
    """Make the data set; one rank does it."""
    from pipeline.data.prepare import prepare

    if not context.world.is_main:
        return Outcome(finished=True)
    return prepare(cfg, should_stop=context.stop_requested)


if __name__ == "__main__":
    sys.exit(main("prepare", SCHEMA))
