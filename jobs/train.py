"""Train a LoRA: ``python -m jobs.train +experiment=tiles32``."""

import sys

from jobs.conf import TrainJob
from jobs.runtime.cli import main
from jobs.runtime.context import JobContext
from pipeline.core.outcome import Outcome

SCHEMA = TrainJob


def run(cfg: TrainJob, context: JobContext) -> Outcome:
    """Train until done or told to stop."""
    from train.run import run_training

    return run_training(
        cfg,
        world=context.world,
        run_dir=context.run_dir,
        tracker=context.tracker,
        should_stop=context.should_stop,
    )


if __name__ == "__main__":
    sys.exit(main("train", SCHEMA))
