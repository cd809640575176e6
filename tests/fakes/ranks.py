"""Training in this process, or in several that talk through gloo, on tiny configs."""

import multiprocessing
import os
import socket
from pathlib import Path
from typing import Any

import torch

from jobs.runtime.trackers import JsonlTracker
from pipeline.core.metrics import NullTracker
from pipeline.core.outcome import Outcome
from pipeline.core.rundir import RunDir
from pipeline.core.world import World
from train.conf import TrainConfig
from train.run import run_training

CONTEXT = multiprocessing.get_context("spawn")


def train_here(
    cfg: TrainConfig, run: Path, *, rank: int = 0, world_size: int = 1, stop_after: int = 0
) -> Outcome:
    """Train in a run folder, told to stop at the ``stop_after``-th question (0: never)."""
    run_dir = RunDir(run)
    run.mkdir(parents=True, exist_ok=True)
    run_dir.config.touch()
    calls = 0

    def should_stop() -> bool:
        nonlocal calls
        calls += 1
        return calls == stop_after

    outcome = run_training(
        cfg,
        world=World(rank=rank, world_size=world_size, local_rank=rank, local_world_size=world_size),
        run_dir=run_dir,
        tracker=NullTracker() if rank else JsonlTracker(run_dir.metrics),
        should_stop=should_stop,
    )
    assert outcome.finished == (stop_after == 0)
    return outcome


def _rank_main(cfg: TrainConfig, run: Path, place: tuple[int, int, int], stop_after: int) -> None:
    rank, world_size, port = place
    if world_size > 1:
        os.environ.update(
            RANK=str(rank), WORLD_SIZE=str(world_size), LOCAL_RANK=str(rank),
            MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port),
        )  # fmt: skip
    torch.set_num_threads(1)
    train_here(cfg, run, rank=rank, world_size=world_size, stop_after=stop_after)
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def start(cfg: TrainConfig, run: Path, world_size: int, *, stop_after: int = 0) -> list[Any]:
    """Start the ranks of a training; they run on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks = [
        CONTEXT.Process(target=_rank_main, args=(cfg, run, (rank, world_size, port), stop_after))
        for rank in range(world_size)
    ]
    for process in ranks:
        process.start()
    return ranks


def finish(ranks: list[Any]) -> list[int | None]:
    """Wait for the ranks; return their exit statuses."""
    for process in ranks:
        process.join(120)
    return [process.exitcode for process in ranks]
