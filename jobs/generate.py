"""Make sprites: ``python -m jobs.generate +work=tiles32 'loras=[{path: RUN}]'``."""

import sys
from pathlib import Path

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


def count(cfg: GenerateJob) -> int:
    """Return how many images the work has."""
    from pipeline.generate.work import build_work

    return len(build_work(cfg))


def preview(cfg: GenerateJob) -> str | None:
    """Show the work where that is all that is asked for."""
    if not cfg.dry_run:
        return None
    from pipeline.generate.preview import describe_work

    ranks = cfg.array * cfg.cluster.num_nodes * cfg.cluster.tasks_per_node
    return describe_work(cfg, runs_dir=Path(cfg.runs_dir), num_ranks=ranks)


if __name__ == "__main__":
    sys.exit(main("generate", SCHEMA, preview=preview))
