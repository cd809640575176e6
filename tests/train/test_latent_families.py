"""sd15 and sdxl, tiny, through the whole trainer: VAE, text encoders, two ranks, resume."""

import json
import multiprocessing
import os
import socket
from pathlib import Path
from typing import Any

import pytest
import torch

from jobs.runtime.trackers import JsonlTracker
from pipeline.core.metrics import NullTracker
from pipeline.core.rundir import RunDir
from pipeline.core.world import World
from pipeline.data.conf import Background, DataConfig
from pipeline.generate.conf import SamplerConfig
from pipeline.models.conf import FamilyName, LoraConfig, ModelConfig
from repro.compare import compare_runs
from tests.fakes.tiny import build_tiny
from train.conf import OptimConfig, TrainConfig
from train.run import run_training

CONTEXT = multiprocessing.get_context("spawn")


def config(family: FamilyName, model: Path, data: Path) -> TrainConfig:
    return TrainConfig(
        model=ModelConfig(family=family, path=model, size_px=64),
        data=DataConfig(path=data, pixel_scale=2, background=Background.random),
        lora=LoraConfig(rank=2, text_encoder=True),
        optim=OptimConfig(lr=1e-3),
        sampler=SamplerConfig(num_steps=2),
        num_images=32,
        batch_size=8,
        num_accumulation_steps=2,
        gradient_checkpointing=True,
        ema_half_life_images=32,
        log_every=8,
        save_every=16,
        validate_every=32,
        validation_images=4,
        sample_every=32,
        num_samples=2,
    )


def rank_main(family: FamilyName, folders: list[str], rank: int, world_size: int, port: int, stop_after: int) -> None:  # fmt: skip  # noqa: E501
    if world_size > 1:
        os.environ.update(
            RANK=str(rank), WORLD_SIZE=str(world_size), LOCAL_RANK=str(rank),
            MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port),
        )  # fmt: skip
    torch.set_num_threads(1)
    model, data, run = map(Path, folders)
    run_dir = RunDir(run)
    run.mkdir(exist_ok=True)
    run_dir.config.touch()
    calls = iter(range(1, 99))
    run_training(
        config(family, model, data),
        world=World(rank=rank, world_size=world_size, local_rank=rank, local_world_size=world_size),
        run_dir=run_dir,
        tracker=NullTracker() if rank else JsonlTracker(run_dir.metrics),
        should_stop=lambda: next(calls) == stop_after,
    )
    if world_size > 1:
        torch.distributed.destroy_process_group()


def run(family: FamilyName, folders: list[Path], world_size: int, *, stop_after: int = 0) -> RunDir:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    told: Any = (family, [str(f) for f in folders])
    ranks = [
        CONTEXT.Process(target=rank_main, args=(*told, rank, world_size, port, stop_after))
        for rank in range(world_size)
    ]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(120)
    assert [process.exitcode for process in ranks] == [0] * world_size
    return RunDir(folders[-1])


def losses(run_dir: RunDir) -> list[float]:
    rows = [json.loads(line) for line in run_dir.metrics.read_text().splitlines()]
    return [row["train/loss"] for row in rows if "train/loss" in row]


@pytest.mark.parametrize("family", [FamilyName.sd15, FamilyName.sdxl])
def test_two_ranks_train_as_one(smoke_data: Path, tmp_path: Path, family: FamilyName) -> None:
    model = build_tiny(family, tmp_path / "model")
    one = run(family, [model, smoke_data, tmp_path / "one"], 1)
    two = run(family, [model, smoke_data, tmp_path / "two"], 2)
    assert len(losses(one)) == 4
    assert losses(two) == pytest.approx(losses(one), rel=1e-5)
    assert len(list(two.samples.glob("*.png"))) == 1


def test_a_stopped_run_goes_on_exactly(smoke_data: Path, tmp_path: Path) -> None:
    family = FamilyName.sdxl
    model = build_tiny(family, tmp_path / "model")
    straight = run(family, [model, smoke_data, tmp_path / "straight"], 2)
    stopped = [model, smoke_data, tmp_path / "stopped"]
    run(family, stopped, 2, stop_after=1)
    verdicts = compare_runs(straight, run(family, stopped, 2))
    assert {v.what for v in verdicts} == {"checkpoint", "lora", "loss trace"}
    assert [v for v in verdicts if not v.equal] == []
