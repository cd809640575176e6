"""Our training loop against the bare forward, backward and optimiser step on the same tensors.

The bare loop has the model, loss and AdamW and nothing else: one batch made once, no loader, no
noise by position, no clipping, no average. Rounds of both alternate in one process; the ratio of
their medians is what all the rest costs.
"""

from collections.abc import Callable
from itertools import islice
from typing import Any

import torch

from bench.conf import BenchConfig
from bench.record import Row, row
from bench.turns import ShouldStop, turns
from pipeline.core.timing import Stopwatch
from pipeline.core.world import World
from pipeline.data.dataset import Dataset
from pipeline.data.loader import Loader
from pipeline.models import lora
from pipeline.models.registry import load_model
from train.conf import TrainConfig
from train.distributed import build_accelerator
from train.ema import Ema
from train.optim import build_optimizer
from train.step import Objective, Trainer

STEPS = 6
"""A round: long enough to time, short enough to alternate."""


def build(cfg: BenchConfig, world: World) -> tuple[Trainer, Any]:
    """Build a trainer of a fresh LoRA and its endless stream of batches."""
    training = TrainConfig(
        model=cfg.model,
        data=cfg.data,
        lora=cfg.lora,
        batch_size=cfg.batch_sizes[0] * world.world_size,
        precision=cfg.precision,
    )
    accelerator = build_accelerator(world, precision=cfg.precision, num_accumulation_steps=1)
    model = load_model(cfg.model, device=world.device)
    lora.attach(model, cfg.lora, seed=0)
    named = lora.trainable(model)
    trainer = Trainer(
        accelerator,
        Objective(model, training.loss),
        build_optimizer(named, training.optim),
        named=named,
        ema=Ema(named, half_life_images=training.ema_half_life_images),
        cfg=training,
    )
    dataset = Dataset.open(cfg.data.path)
    loader = Loader(
        dataset.split("train"),
        cfg.data,
        size_px=dataset.size_px,
        flip_ok=dataset.flip_ok,
        run_seed=0,
        device=world.device,
        num_threads=1,
    )
    stream = loader.stream(0, batch_size=training.batch_size, num_accumulation_steps=1, world=world)
    return trainer, stream


def measure(cfg: BenchConfig, world: World, should_stop: ShouldStop) -> tuple[list[Row], list[str]]:
    """Return both rates, in rounds that alternate, and a sentence."""
    trainer, stream = build(cfg, world)
    bare_optimizer = build_optimizer(trainer.named, trainer.cfg.optim)
    inputs = trainer.inputs(next(islice(stream, 1)))
    ways: dict[str, Callable[[], None]] = {
        "bare": lambda: _bare_round(trainer.objective, bare_optimizer, inputs),
        "ours": lambda: our_round(trainer, stream),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _, counts in turns(cfg, should_stop):
        for name, way in ways.items():
            watch = Stopwatch()
            way()
            settle(world.device)
            if counts:
                rates[name].append(STEPS * cfg.batch_sizes[0] / watch.elapsed_s())
    bare = row("bare", rates["bare"], unit="img/s", warmup=cfg.warmup)
    ours = row(
        "ours",
        rates["ours"],
        unit="img/s",
        warmup=cfg.warmup,
        ceiling=bare.median,
        ceiling_is="the bare forward, backward and optimiser step on one batch",
    )
    return [bare, ours], [f"the training loop keeps {ours.fraction:.3f} of the bare step's rate"]


def our_round(trainer: Trainer, stream: Any) -> None:
    """Take ``STEPS`` steps of ours, with what logging asks of the device."""
    for _ in range(STEPS):
        trainer.step(stream)
    float(torch.stack(trainer.window).mean())
    trainer.window.clear()


def settle(device: str) -> None:
    """Wait until the device has done what it was told."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def _bare_round(objective: Objective, optimizer: torch.optim.Optimizer, inputs: Any) -> None:
    for _ in range(STEPS):
        optimizer.zero_grad(set_to_none=True)
        objective(**inputs).mean().backward()
        optimizer.step()
