"""Make sprites: ``python -m jobs.generate +work=tiles32 'loras=[{path: RUN}]'``."""

import sys

from jobs.conf import GenerateJob
from jobs.runtime.cli import main
from jobs.runtime.context import JobContext
from pipeline.core.outcome import Outcome

SCHEMA = GenerateJob


def run(cfg: GenerateJob, context: JobContext) -> Outcome:
    """Make every image that is not there yet."""
    from pipeline.generate.loop import generate

    return generate(
        cfg,
        world=context.world,
        run_dir=context.run_dir,
        tracker=context.tracker,
        should_stop=context.stop_requested,
    )


if __name__ == "__main__":
    sys.exit(main("generate", SCHEMA))
