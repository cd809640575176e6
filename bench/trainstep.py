"""Our training loop against the bare forward, backward and optimiser step on the same tensors.

    python -m bench.trainstep data/tiles32

The bare loop has the model, loss and AdamW and nothing else: one batch made once, no loader, no
noise by position, no clipping, no average. Rounds of both alternate in one process; the ratio of
their medians is what all the rest costs. The last line of stdout is the JSON.
"""

import argparse
import json
import statistics
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from pipeline.core.errors import one_line_errors
from pipeline.core.world import World
from pipeline.data.conf import DataConfig
from pipeline.data.dataset import Dataset
from pipeline.data.loader import Loader
from pipeline.models import lora
from pipeline.models.conf import FamilyName, LoraConfig, ModelConfig
from pipeline.models.registry import load_model
from train.conf import TrainConfig
from train.distributed import build_accelerator
from train.ema import Ema
from train.optim import build_optimizer
from train.step import Objective, Trainer

STEPS = 6
ROUNDS = 5
WARMUP = 2


def build(cfg: TrainConfig, *, world: World | None = None) -> tuple[Trainer, Any]:
    """Build a trainer and its stream of batches; collective where ``world`` has several ranks."""
    world = world or World(num_threads=torch.get_num_threads())
    accelerator = build_accelerator(world, precision=cfg.precision, num_accumulation_steps=1)
    model = load_model(cfg.model, device="cpu")
    lora.attach(model, cfg.lora, seed=0)
    named = lora.trainable(model)
    trainer = Trainer(
        accelerator,
        Objective(model, cfg.loss),
        build_optimizer(named, cfg.optim),
        named=named,
        ema=Ema(named, half_life_images=cfg.ema_half_life_images),
        cfg=cfg,
    )
    dataset = Dataset.open(cfg.data.path)
    loader = Loader(
        dataset.split("train"),
        cfg.data,
        size_px=dataset.size_px,
        flip_ok=True,
        run_seed=0,
        device="cpu",
        num_threads=1,
    )
    stream = loader.stream(0, batch_size=cfg.batch_size, num_accumulation_steps=1, world=world)
    return trainer, stream


def bare_round(objective: Objective, optimizer: torch.optim.Optimizer, inputs: Any) -> float:
    """Return images a second of ``STEPS`` bare steps."""
    start = time.perf_counter()
    for _ in range(STEPS):
        optimizer.zero_grad(set_to_none=True)
        objective(**inputs).mean().backward()
        optimizer.step()
    return STEPS * len(inputs["captions"]) / (time.perf_counter() - start)


def our_round(trainer: Trainer, stream: Any) -> float:
    """Return images a second of ``STEPS`` steps of ours."""
    start = time.perf_counter()
    for _ in range(STEPS):
        trainer.step(stream)
    float(torch.stack(trainer.window).mean())
    trainer.window.clear()
    return STEPS * trainer.cfg.batch_size / (time.perf_counter() - start)


@one_line_errors
def main() -> int:
    """Print both rates and their ratio."""
    parser = argparse.ArgumentParser(prog="python -m bench.trainstep", description=__doc__)
    parser.add_argument("dataset", type=Path)
    cfg = TrainConfig(
        model=ModelConfig(family=FamilyName.pixelnano),
        data=DataConfig(path=parser.parse_args().dataset),
        lora=LoraConfig(),
    )
    trainer, stream = build(cfg)
    bare_optimizer = build_optimizer(trainer.named, cfg.optim)
    inputs = trainer.inputs(next(islice(stream, 1)))
    ours, bare = [], []
    for turn in range(WARMUP + ROUNDS):
        pair = (bare_round(trainer.objective, bare_optimizer, inputs), our_round(trainer, stream))
        if turn >= WARMUP:
            bare.append(pair[0])
            ours.append(pair[1])
    result = {
        "bench": "trainstep",
        "bare_img_per_s": round(statistics.median(bare), 2),
        "ours_img_per_s": round(statistics.median(ours), 2),
        "ratio": round(statistics.median(ours) / statistics.median(bare), 4),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
    print(f"bare {result['bare_img_per_s']} img/s   ours {result['ours_img_per_s']} img/s")
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
