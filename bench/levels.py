"""Loss of a pixelnano at single noise levels, training against held-out sprites.

    python -m bench.levels data/sprites32 MODEL_FOLDER [MODEL_FOLDER ...]

Unweighted v-loss, the same images and noise for every model. Where the two splits part, the model
has learned by heart. The last line is JSON.
"""

import argparse
import json
import sys
from pathlib import Path

import torch

from pipeline.core.errors import one_line_errors
from pipeline.core.noise import sample_noise
from pipeline.data.conf import DataConfig
from pipeline.data.dataset import Dataset
from pipeline.data.loader import Loader
from pipeline.models.conf import FamilyName, ModelConfig
from pipeline.models.protocol import LoadedModel
from pipeline.models.registry import load_model
from train.loss import add_noise, training_target

TIMESTEPS = (5, 20, 50, 100, 200, 300, 400, 500, 600, 700, 800, 900, 980)


@torch.inference_mode()
def losses(model: LoadedModel, loader: Loader, sample_ids: list[int]) -> list[float]:
    """Return the mean squared error of the model's answer at each of ``TIMESTEPS``."""
    batch = loader.fixed(sample_ids)
    x0_BCHW = model.family.encode_pixels(model.pipeline, batch.pixels_BCHW, None)
    conditioning = model.family.encode_text(model.pipeline, batch.captions)
    noise_BCHW = sample_noise(0, "levels", sample_ids, shape=model.latent_shape)
    found = []
    for timestep in TIMESTEPS:
        timesteps_B = torch.full((len(sample_ids),), timestep)
        alpha_bar_B = model.alphas_cumprod[timesteps_B]
        answer_BCHW = model.family.predict(
            model.pipeline.unet,
            add_noise(x0_BCHW, noise_BCHW, alpha_bar_B),
            timesteps_B,
            conditioning,
        )
        target_BCHW = training_target(model.prediction, x0_BCHW, noise_BCHW, alpha_bar_B)
        found.append(round(float((answer_BCHW - target_BCHW).square().mean()), 4))
    return found


@one_line_errors
def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.levels",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data", type=Path, help="data set of jobs.prepare")
    parser.add_argument("models", type=Path, nargs="+", help="folders in diffusers layout")
    parser.add_argument("--count", type=int, default=120, help="images of each split, at most")
    arguments = parser.parse_args()
    dataset = Dataset.open(arguments.data)
    rows = []
    print("timestep   " + "".join(f"{t:>8}" for t in TIMESTEPS))
    for path in arguments.models:
        cfg = ModelConfig(family=FamilyName.pixelnano, path=path, size_px=dataset.size_px)
        model = load_model(cfg, device="cpu")
        for name in ("train", "validation"):
            split = dataset.split(name)
            loader = Loader(
                split,
                DataConfig(path=arguments.data),
                size_px=dataset.size_px,
                flip_ok=dataset.flip_ok,
                run_seed=0,
                device="cpu",
                num_threads=1,
            )
            found = losses(model, loader, list(range(min(arguments.count, len(split)))))
            print(f"{name:<11}" + "".join(f"{value:8.3f}" for value in found), f" {path}")
            rows.append({"model": path.name, "split": name, "loss": found})
    print(json.dumps({"bench": "levels", "timesteps": TIMESTEPS, "rows": rows}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
