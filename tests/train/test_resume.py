"""Straight equals stopped or killed and resumed, bit for bit, on one rank and on three (gloo)."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file

from pipeline.core.errors import InputError
from pipeline.core.metrics import NullTracker
from pipeline.core.rundir import RunDir
from pipeline.core.world import World
from pipeline.data.conf import Background, DataConfig, MoreData
from pipeline.generate.conf import Precision, SamplerConfig
from pipeline.models.conf import FamilyName, LoraConfig, Method, ModelConfig, Targets
from pipeline.models.sums import check_sums
from repro.compare import compare_runs, trace
from tests.fakes.ranks import finish, start, train_here
from train.conf import (
    Adapter,
    LossConfig,
    OptimConfig,
    OptimizerName,
    Prediction,
    TrainConfig,
    Weighting,
)
from train.run import run_training, sample_prompts


@pytest.fixture(autouse=True)
def fresh_accelerate() -> Iterator[None]:
    """Forget accelerate's state of the process: a job has one accelerator, this file many."""
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


Interrupt = Callable[[Path, Path, int], None]


def config(data: Path, /, **changes: Any) -> TrainConfig:
    told: dict[str, Any] = {
        "num_images": 96, "batch_size": 12, "log_every": 24, "save_every": 24, "sample_every": 96,
        "validate_every": 48, "validation_images": 4, "num_samples": 2, "ema_half_life_images": 32,
        "lora": LoraConfig(rank=2, dropout=0.1, text_encoder=True), "dropout": 0.1,
        "optim": OptimConfig(lr=1e-3, warmup_images=16), "sampler": SamplerConfig(num_steps=2),
    }  # fmt: skip
    told |= {"model": ModelConfig(family=FamilyName.pixelnano), "data": DataConfig(path=data)}
    return TrainConfig(**(told | changes))


def mixed(data: Path) -> DataConfig:
    """Two sets, hues turned, tags in another order each time."""
    more = MoreData(path=data, weight=1, loss_weight=0.5, trigger="prior")
    return DataConfig(path=data, weight=2, more=[more], hue=0.3, shuffle_tags=True, keep_tags=1)


def by_stop(run: Path, data: Path, world_size: int) -> None:
    assert finish(start(config(data), run, world_size, stop_after=3)) == [0] * world_size


def by_kill(run: Path, data: Path, world_size: int) -> None:
    ranks = start(config(data), run, world_size)
    end = time.monotonic() + 90
    while not list((run / "checkpoints").glob("0*")):
        assert time.monotonic() < end
        time.sleep(0.01)
    os.kill(ranks[-1].pid, signal.SIGKILL)
    assert 0 not in finish(ranks)


@pytest.mark.parametrize(
    ("world_size", "interrupts"), [(1, [by_stop, by_kill]), (3, [by_stop])], ids=["one", "three"]
)
def test_interrupted_equals_straight(
    smoke_data: Path, tmp_path: Path, world_size: int, interrupts: list[Interrupt]
) -> None:
    cfg = config(smoke_data)
    assert finish(start(cfg, tmp_path / "straight", world_size)) == [0] * world_size
    for interrupt in interrupts:
        run = tmp_path / interrupt.__name__
        interrupt(run, smoke_data, world_size)
        assert finish(start(cfg, run, world_size)) == [0] * world_size
        verdicts = compare_runs(RunDir(tmp_path / "straight"), RunDir(run))
        assert {v.what for v in verdicts} == {"checkpoint", "lora", "loss trace"}
        assert [v for v in verdicts if not v.equal] == [], interrupt.__name__
    assert len(list((tmp_path / "straight" / "samples").glob("*.png"))) == 1


def test_losses_hardly_depend_on_ranks_or_accumulation(smoke_data: Path, tmp_path: Path) -> None:
    def losses(name: str, world_size: int, **changes: Any) -> list[float]:
        # Dropout draws a batch at a time, so it is left out here.
        loss = LossConfig(pyramid_noise=0.3, transparent_weight=0.2)
        data = mixed(smoke_data)
        cfg = config(
            smoke_data, lora=LoraConfig(rank=2), dropout=0.0, loss=loss, data=data, **changes
        )
        run = tmp_path / name
        assert set(finish(start(cfg, run, world_size))) == {0}
        return [float(str(r["train/loss"])) for r in trace(RunDir(run)) if "train/loss" in r]

    one = losses("one", 1)
    assert len(one) == 4
    assert losses("two", 2) == pytest.approx(one, rel=1e-4)
    assert losses("accumulated", 1, num_accumulation_steps=2) == pytest.approx(one, rel=1e-4)


def run_here(data: Path, run: Path, /, **changes: Any) -> Any:
    return train_here(config(data, **changes), run)


RECIPES: dict[str, dict[str, Any]] = {
    "bf16": {"precision": Precision.bf16},
    "gradient checkpointing": {"gradient_checkpointing": True},
    "x0": {"loss": LossConfig(prediction=Prediction.x0, min_snr_gamma=0.0)},
    "epsilon, noise offset": {"loss": LossConfig(prediction=Prediction.epsilon, noise_offset=0.1)},
    "zero terminal SNR, pyramid noise": {
        "loss": LossConfig(
            weighting=Weighting.none,
            zero_terminal_snr=True,
            pyramid_noise=0.4,
            transparent_weight=0.1,
        )
    },
    "rsLoRA, all layers": {"lora": LoraConfig(rank=2, rslora=True, targets=Targets.all)},
    "LoRA+, ranks and rates by block": {
        "lora": LoraConfig(rank=2, lr_ratio_b=4.0, rank_pattern={"mid_block": 3}),
        "optim": OptimConfig(lr=1e-3, lr_pattern={"up_blocks": 0.5}),
    },
    "LoKr": {"lora": LoraConfig(rank=2, method=Method.lokr)},
    "Prodigy": {"optim": OptimConfig(name=OptimizerName.prodigy, lr=1.0, warmup_images=12)},
    "8-bit AdamW": {"optim": OptimConfig(name=OptimizerName.adamw8bit, lr=1e-3)},
    "DoRA": {"lora": LoraConfig(rank=2, dora=True)},
    "all weights, no average": {"adapter": Adapter.full, "ema_half_life_images": 0},
    "two data sets": {},
    "accumulation": {"num_accumulation_steps": 3},
}


NEEDS = {"Prodigy": "prodigyopt", "8-bit AdamW": "bitsandbytes"}
"""Packages that no lock lists: the recipes are for those who have them."""


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_goes_on_exactly(smoke_data: Path, tmp_path: Path, recipe: str) -> None:
    if recipe in NEEDS:
        pytest.importorskip(NEEDS[recipe])
    changes = {"data": mixed(smoke_data)} if recipe == "two data sets" else RECIPES[recipe]
    cfg = config(
        smoke_data, num_images=24, log_every=12, validate_every=0, sample_every=0, **changes
    )

    def run(name: str, stop_after: int) -> RunDir:
        train_here(cfg, tmp_path / name, stop_after=stop_after)
        return RunDir(tmp_path / name)

    straight = run("straight", 0)
    run("stopped", 1)
    verdicts = compare_runs(straight, run("stopped", 0))
    assert [v for v in verdicts if not v.equal] == []
    assert len(trace(straight)) == 2


def test_rows_of_an_attempt_that_never_saved_are_dropped(smoke_data: Path, tmp_path: Path) -> None:
    def run(name: str, left_behind: str) -> RunDir:
        run_dir = RunDir(tmp_path / name)
        run_dir.path.mkdir()
        run_dir.metrics.write_text(left_behind)
        run_here(
            smoke_data, run_dir.path, num_images=24, log_every=12, validate_every=0, sample_every=0
        )
        return run_dir

    fresh = run("fresh", "")
    killed = run("killed", '{"num_images": 12, "train/loss": 9.0}\n{"num_images": 24, "tra')
    assert [v for v in compare_runs(fresh, killed) if not v.equal] == []
    assert len(trace(killed)) == 2


def test_dropout_is_off_where_the_model_is_looked_at(
    smoke_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import train.events

    seen: dict[str, set[bool]] = {"validation": set(), "samples": set()}

    def measured(objective: Any, *_: Any, **__: Any) -> float:
        seen["validation"] |= {m.training for m in objective.model.modules.values()}
        return 0.0

    def drawn(model: Any, *_: Any, **__: Any) -> None:
        seen["samples"] |= {m.training for m in model.modules.values()}

    def stepped(self: Any, batch: Any) -> Any:
        seen.setdefault("steps", set()).update(
            m.training for m in self.objective.model.modules.values()
        )
        return inputs(self, batch)

    inputs = train.step.Trainer.inputs
    monkeypatch.setattr(train.events, "validation_loss", measured)
    monkeypatch.setattr(train.events, "draw_samples", drawn)
    monkeypatch.setattr("train.step.Trainer.inputs", stepped)
    monkeypatch.setattr(train.events, "GRID_WAIT_S", 0.0)
    run_here(smoke_data, tmp_path, num_images=24, validate_every=12, sample_every=12)
    assert seen == {"validation": {False}, "samples": {False}, "steps": {True}}


def test_sample_prompts_carry_the_trigger() -> None:
    cfg = config(Path("data"), num_samples=3)
    cfg.data.trigger = "mystyle"
    assert sample_prompts(cfg, ["orc", "elf", "orc"]) == [
        "mystyle orc",
        "mystyle elf",
        "mystyle orc",
    ]
    cfg.sample_prompts = ["a tree"]
    assert sample_prompts(cfg, ["orc"]) == ["a tree"] * 3


def test_a_precision_the_device_lacks_is_refused(smoke_data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="precision: fp16 needs a GPU"):
        run_here(smoke_data, tmp_path, precision=Precision.fp16)


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_checkpoint(
    smoke_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import train.step

    weight = train.step.level_weight
    calls = 0

    def poisoned(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        return weight(*arguments) * (float("nan") if calls > 3 else 1.0)

    monkeypatch.setattr("train.step.level_weight", poisoned)
    with pytest.raises(InputError, match="not finite at 48 images"):
        run_here(smoke_data, tmp_path, validate_every=0, sample_every=0)
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["000000000024"]


def test_a_changed_setting_is_refused_by_name(smoke_data: Path, tmp_path: Path) -> None:
    quick = {"num_images": 24, "validate_every": 0, "sample_every": 0}
    assert run_here(smoke_data, tmp_path, **quick).finished
    assert run_here(smoke_data, tmp_path, **quick).figures["images_this_attempt"] == 0
    for change, key in (
        ({"seed": 1}, "seed"),
        ({"lora": LoraConfig(rank=3, dropout=0.1, text_encoder=True)}, "lora.rank"),
        ({"batch_size": 24}, "batch_size"),
        ({"dropout": 0.2}, "dropout"),
        ({"loss": LossConfig(pyramid_noise=0.1)}, "loss.pyramid_noise"),
        ({"data": mixed(smoke_data)}, "data.hue"),
    ):
        with pytest.raises(InputError, match=key):
            run_here(smoke_data, tmp_path, **(quick | change))


def test_a_full_fine_tune_trains_every_weight(smoke_data: Path, tmp_path: Path) -> None:
    outcome = run_here(
        smoke_data, tmp_path, adapter=Adapter.full, num_images=12, validate_every=0, sample_every=0
    )
    assert outcome.finished
    assert json.loads((tmp_path / "model" / "model_index.json").read_text())
    assert check_sums(tmp_path / "model")
    # What is written are the averaged weights.
    average = load_file(next((tmp_path / "checkpoints").glob("0*")) / "ema.safetensors")
    written = load_file(tmp_path / "model" / "unet" / "diffusion_pytorch_model.safetensors")
    assert all(torch.equal(tensor, average[f"unet.{key}"]) for key, tensor in written.items())


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"background": Background.solid}, "data.background"),
        ({"pixel_scale": 2}, "data.pixel_scale"),
    ],
)
def test_data_that_does_not_fit_the_model_is_refused(
    smoke_data: Path, tmp_path: Path, change: dict[str, Any], word: str
) -> None:
    cfg = config(smoke_data)
    cfg.data = DataConfig(path=smoke_data, **change)
    with pytest.raises(InputError, match=word):
        run_training(
            cfg,
            world=World(),
            run_dir=RunDir(tmp_path),
            tracker=NullTracker(),
            should_stop=lambda: False,
        )


def test_an_uneven_batch_is_refused(smoke_data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="batch_size: 12"):
        run_here(smoke_data, tmp_path, num_accumulation_steps=5)
