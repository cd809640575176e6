"""What a run computes does not drift: figures of a small run, kept in ``figures.json``.

A change that is meant to move them says so in the CHANGELOG and writes them anew:
``GOLDEN=write pytest tests/golden``.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from accelerate.state import AcceleratorState

from pipeline.core.metrics import NullTracker
from pipeline.core.noise import sample_noise, sample_timesteps
from pipeline.core.rundir import RunDir
from pipeline.core.world import World
from pipeline.data.conf import DataConfig
from pipeline.data.dataset import Dataset
from pipeline.data.order import Order
from pipeline.models.conf import FamilyName, LoraConfig, ModelConfig
from train.conf import OptimConfig, TrainConfig
from train.run import run_training

FILE = Path(__file__).with_name("figures.json")


def figures(data: Path, run: Path) -> dict[str, Any]:
    dataset = Dataset.open(data)
    cfg = DataConfig(path=data)
    order = Order(len(dataset.split("train")), cfg, flip_ok=True, run_seed=0)
    draws = [order.draw(index) for index in (0, 1, 2, 100, 10_000)]
    outcome = run_training(
        TrainConfig(
            model=ModelConfig(family=FamilyName.pixelnano),
            data=cfg,
            lora=LoraConfig(rank=4, alpha=4.0),
            optim=OptimConfig(lr=1e-3, warmup_images=16),
            num_images=48,
            batch_size=16,
            log_every=48,
            save_every=48,
            sample_every=0,
            validate_every=48,
            validation_images=4,
            ema_half_life_images=32,
        ),
        world=World(),
        run_dir=RunDir(run),
        tracker=NullTracker(),
        should_stop=lambda: False,
    )
    AcceleratorState._reset_state(reset_partial_state=True)
    noise = sample_noise(0, "noise", [0, 7], shape=(1, 1, 2))
    return {
        "data_digest": dataset.digest,
        "draws": [[d.sample_id, d.is_flipped, d.has_caption] for d in draws],
        "timesteps": sample_timesteps(0, "timestep", [0, 1, 2, 100], num_timesteps=1000).tolist(),
        "noise": [round(x, 6) for x in noise.flatten().tolist()],
        "loss": outcome.figures["loss"],
        "validation_loss": outcome.figures["validation_loss"],
    }


def test_figures_stay(smoke_data: Path, tmp_path: Path) -> None:
    found = figures(smoke_data, tmp_path)
    if os.environ.get("GOLDEN") == "write":
        FILE.write_text(json.dumps(found, indent=1) + "\n")
    kept = json.loads(FILE.read_text())
    # Another CPU may add up in another order; what is drawn by position may not differ at all.
    for key in ("loss", "validation_loss"):
        assert found.pop(key) == pytest.approx(kept.pop(key), rel=1e-4), key
    assert found == kept
