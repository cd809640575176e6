"""Rates by name, and optimisers' state there and back."""

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from pipeline.core.checkpoint import Checkpoint
from pipeline.core.errors import InputError
from pipeline.core.world import World
from pipeline.data.conf import DataConfig
from pipeline.models.conf import FamilyName, LoraConfig, ModelConfig
from train.conf import LrScaling, OptimConfig, OptimizerName, TrainConfig
from train.optim import (
    build_optimizer,
    load_optimizer_numbers,
    load_optimizer_tensors,
    optimizer_numbers,
    optimizer_tensors,
    set_rate,
)
from train.schedule import learning_rate, peak_rate
from train.told import told_in_steps

NAMES = ("unet.down.lora_A.w", "unet.down.lora_B.w", "unet.up.lora_A.w", "unet.up.lora_B.w")


SIZE = 4096
"""Values a tensor: from there on bitsandbytes keeps 8 bits of a moment."""


def weights() -> dict[str, nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return {name: nn.Parameter(torch.randn(SIZE, generator=generator)) for name in NAMES}


def step(optimizer: torch.optim.Optimizer, named: dict[str, nn.Parameter], number: int) -> None:
    generator = torch.Generator().manual_seed(number)
    for parameter in named.values():
        parameter.grad = torch.randn(SIZE, generator=generator) + 2
    optimizer.step()


def test_rates_follow_lora_plus_and_patterns() -> None:
    named = weights()
    cfg = OptimConfig(weight_decay=0.0, lr_pattern={"unet": 2.0, "unet.up": 0.5})
    optimizer = build_optimizer(named, cfg, lr_ratio_b=16.0)
    before = {name: p.detach().clone() for name, p in named.items()}
    set_rate(optimizer, 1e-3)
    step(optimizer, named, 1)
    # AdamW's first step is the rate itself, against the gradient's sign.
    for name, factor in zip(NAMES, (2.0, 32.0, 0.5, 8.0), strict=True):
        moved = before[name] - named[name].detach()
        torch.testing.assert_close(
            moved, named[name].grad.sign() * 1e-3 * factor, rtol=1e-3, atol=0
        )  # type: ignore[union-attr]


def test_a_rate_pattern_that_fits_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="optim.lr_pattern: 'vae'"):
        build_optimizer(weights(), OptimConfig(lr_pattern={"vae": 2.0}))


PACKAGE = {OptimizerName.prodigy: "prodigyopt", OptimizerName.adamw8bit: "bitsandbytes"}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", list(OptimizerName))
def test_state_goes_to_a_file_and_back(name: OptimizerName, tmp_path: Path) -> None:
    if name in PACKAGE:
        pytest.importorskip(PACKAGE[name])
    cfg = OptimConfig(name=name, lr=1.0, weight_decay=0.0)
    named = weights()
    optimizer = build_optimizer(named, cfg)
    set_rate(optimizer, 0.5)
    for number in range(4):
        step(optimizer, named, number)
    save_file(optimizer_tensors(optimizer, named), tmp_path / "optimizer.safetensors")
    numbers = json.loads(json.dumps(optimizer_numbers(optimizer)))
    again = {key: nn.Parameter(p.detach().clone()) for key, p in named.items()}
    fresh = build_optimizer(again, cfg)
    load_optimizer_tensors(fresh, again, load_file(tmp_path / "optimizer.safetensors"))
    load_optimizer_numbers(fresh, numbers)
    for number in range(4, 8):
        for one, its in ((optimizer, named), (fresh, again)):
            set_rate(one, 0.25)
            step(one, its, number)
    assert all(torch.equal(named[key], again[key]) for key in named)
    assert optimizer_numbers(optimizer) == optimizer_numbers(fresh)


def test_what_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prodigyopt", None)
    with pytest.raises(InputError, match="pip install prodigyopt"):
        build_optimizer(weights(), OptimConfig(name=OptimizerName.prodigy))
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(InputError, match="pip install bitsandbytes"):
        build_optimizer(weights(), OptimConfig(name=OptimizerName.adamw8bit))


def config(**changes: object) -> TrainConfig:
    told = {
        "model": ModelConfig(family=FamilyName.pixelnano),
        "data": DataConfig(path=Path("data")),
        "batch_size": 128,
        "num_images": 1280,
    }
    return TrainConfig(**(told | changes))  # type: ignore[arg-type]


def test_one_rate_for_all_takes_no_factors() -> None:
    for changes in (
        {"lora": LoraConfig(lr_ratio_b=16.0)},
        {"optim": OptimConfig(name=OptimizerName.prodigy, lr_pattern={"unet": 2.0})},
    ):
        told = {"optim": OptimConfig(name=OptimizerName.prodigy)} | changes
        with pytest.raises(ValueError, match="prodigy"):
            config(**told)


@pytest.mark.parametrize(
    ("scaling", "factor"), [(LrScaling.none, 1), (LrScaling.linear, 4), (LrScaling.sqrt, 2)]
)
def test_the_rate_follows_the_batch_as_asked(scaling: LrScaling, factor: int) -> None:
    cfg = OptimConfig(lr=1e-3, scale_lr=scaling, reference_batch_size=32, warmup_images=128)
    assert peak_rate(cfg, batch_size=128) == pytest.approx(1e-3 * factor)
    half = learning_rate(64, total_images=1280, batch_size=128, cfg=cfg)
    assert half == pytest.approx(0.5e-3 * factor)


def test_a_run_says_what_it_means_in_steps(tmp_path: Path) -> None:
    cfg = config(optim=OptimConfig(warmup_images=256, scale_lr=LrScaling.linear))
    found = Checkpoint(num_images=128, path=tmp_path, tensors={}, state={"world_size": 4})
    fresh = list(told_in_steps(cfg, World(world_size=2), None))
    assert len(fresh) == 2
    assert "10 steps in all, 2 of warm-up" in fresh[0]
    assert "0.0002" in fresh[1]
    assert len(list(told_in_steps(cfg, World(world_size=4), found))) == 2
    assert "4 ranks" in list(told_in_steps(cfg, World(world_size=2), found))[2]
