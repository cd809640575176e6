"""sd15 and sdxl, tiny, through the whole trainer: VAE, text encoders, two ranks, resume."""

import json
from pathlib import Path

import pytest

from pipeline.core.rundir import RunDir
from pipeline.data.conf import Background, DataConfig
from pipeline.generate.conf import SamplerConfig
from pipeline.models.conf import FamilyName, LoraConfig, ModelConfig
from repro.compare import compare_runs
from tests.fakes.ranks import finish, start
from tests.fakes.tiny import build_tiny
from train.conf import LossConfig, OptimConfig, TrainConfig


def config(family: FamilyName, model: Path, data: Path) -> TrainConfig:
    return TrainConfig(
        model=ModelConfig(family=family, path=model, size_px=64),
        data=DataConfig(path=data, pixel_scale=2, background=Background.random),
        lora=LoraConfig(rank=2, text_encoder=True),
        optim=OptimConfig(lr=1e-3),
        loss=LossConfig(pyramid_noise=0.3, transparent_weight=0.2),
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


def run(cfg: TrainConfig, path: Path, world_size: int, *, stop_after: int = 0) -> RunDir:
    assert finish(start(cfg, path, world_size, stop_after=stop_after)) == [0] * world_size
    return RunDir(path)


def losses(run_dir: RunDir) -> list[float]:
    rows = [json.loads(line) for line in run_dir.metrics.read_text().splitlines()]
    return [row["train/loss"] for row in rows if "train/loss" in row]


@pytest.mark.parametrize("family", [FamilyName.sd15, FamilyName.sdxl])
def test_two_ranks_train_as_one(smoke_data: Path, tmp_path: Path, family: FamilyName) -> None:
    cfg = config(family, build_tiny(family, tmp_path / "model"), smoke_data)
    one = run(cfg, tmp_path / "one", 1)
    two = run(cfg, tmp_path / "two", 2)
    assert len(losses(one)) == 4
    assert losses(two) == pytest.approx(losses(one), rel=1e-5)
    assert len(list(two.samples.glob("*.png"))) == 1


def test_a_stopped_run_goes_on_exactly(smoke_data: Path, tmp_path: Path) -> None:
    cfg = config(FamilyName.sdxl, build_tiny(FamilyName.sdxl, tmp_path / "model"), smoke_data)
    straight = run(cfg, tmp_path / "straight", 2)
    run(cfg, tmp_path / "stopped", 2, stop_after=1)
    verdicts = compare_runs(straight, run(cfg, tmp_path / "stopped", 2))
    assert {v.what for v in verdicts} == {"checkpoint", "lora", "loss trace"}
    assert [v for v in verdicts if not v.equal] == []
