"""What the embedded model is worth, in figures: the base, and a LoRA on tiles it never saw.

    python -m bench.pixelnano --lora runs/train/tiles32/make-train

Draws images for the captions of held-out art, base and LoRA with the same noise, and measures:
the kernel distance (KID, EfficientNet-Lite0 features, with a 95 % interval) to held-out tiles and
sprites, beside what training art itself reaches; how near sprites lie to the nearest training
sprite, beside how near held-out ones lie; seconds to the first sprite and for 64, in a process
that has loaded its libraries. The last line of stdout is the JSON. Needs the ``eval`` extra.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from eval.diversity import (
    HISTOGRAM_STEP,
    distance_histogram,
    distance_quantiles,
    memorisation,
)
from eval.features import ImageFeatures
from eval.intervals import Estimate
from eval.kernel import Sample, kernel_distances
from pipeline.core.errors import InputError, one_line_errors
from pipeline.core.files import read_json, write_atomic
from pipeline.core.picture import png_bytes
from pipeline.core.sheet import side_by_side
from pipeline.core.timing import Stopwatch
from pipeline.data.dataset import Dataset, Split
from pipeline.generate.conf import Precision, SamplerConfig
from pipeline.generate.sample import Pixels, sample_pixels
from pipeline.models import adapters
from pipeline.models.conf import FamilyName, LoraUse, ModelConfig
from pipeline.models.pixelnano import ASSETS
from pipeline.models.protocol import LoadedModel
from pipeline.models.registry import load_model

BATCH = 32
NEAREST_PAIRS = 24
TRAIN_STEP = 10
"""Of the training captions, each tenth is drawn."""


def load(lora_path: Path | None) -> LoadedModel:
    """Load the shipped model, with a LoRA when there is one."""
    model = load_model(ModelConfig(family=FamilyName.pixelnano, path=ASSETS), device="cpu")
    if lora_path is not None:
        adapters.apply(model, [LoraUse(path=lora_path)])
    return model


def draw(model: LoadedModel, prompts: Sequence[str], sampler: SamplerConfig) -> Pixels:
    """Draw one image a prompt; the noise is the same for every model."""
    batches = []
    for start in range(0, len(prompts), BATCH):
        part = prompts[start : start + BATCH]
        batches.append(
            sample_pixels(
                model,
                prompts=part,
                indices=range(start, start + len(part)),
                run_seed=0,
                sampler=sampler,
                device="cpu",
                precision=Precision.fp32,
            )
        )
    return np.concatenate(batches)


def art(split: Split) -> list[Image.Image]:
    """Return a split's images."""
    return [Image.open(BytesIO(split.png_bytes(i))).convert("RGBA") for i in range(len(split))]


def about_tiles(
    tiles: Dataset, features: ImageFeatures, sampler: SamplerConfig, *, seeds: int, lora_path: Path
) -> dict[str, Any]:
    """Measure base and LoRA against held-out tiles."""
    train, held_out = tiles.split("train"), tiles.split("validation")
    prompts = held_out.captions * seeds
    sets = {
        name: Sample(features(_images(draw(load(path), prompts, sampler))), prompts)
        for name, path in (("base", None), ("lora", lora_path))
    }
    sets["training art"] = _art_sample(train, features)
    found = kernel_distances(sets, _art_sample(held_out, features))
    return _told(found) | {"num_held_out": len(held_out), "num_drawn": len(prompts)}


def about_sprites(
    sprites: Dataset, features: ImageFeatures, sampler: SamplerConfig, *, pairs: Path
) -> dict[str, Any]:
    """Measure the base against held-out sprites, and how near it lies to training sprites."""
    train, held_out = sprites.split("train"), sprites.split("validation")
    prompts = held_out.captions + train.captions[::TRAIN_STEP]
    drawn = _images(draw(load(None), prompts, sampler))
    count = len(held_out)
    sets = {
        "held-out captions": Sample(features(drawn[:count]), prompts[:count]),
        "training captions": Sample(features(drawn[count:]), prompts[count:]),
        "training art": _art_sample(train, features),
    }
    found = kernel_distances(sets, _art_sample(held_out, features))
    train_art = art(train)
    copied = memorisation(_arrays(drawn), held_out=_arrays(art(held_out)), train=_arrays(train_art))
    order = np.argsort(copied.drawn_rms)[:NEAREST_PAIRS]
    nearest_art = [train_art[copied.nearest_index[i]] for i in order]
    sheet = side_by_side([drawn[i] for i in order], nearest_art, pairs=8)
    write_atomic(pairs, png_bytes(sheet))
    return _told(found) | {
        "num_drawn": len(prompts),
        "num_held_out": count,
        "nearest_training_rms": {
            "drawn": _quantiles(copied.drawn_rms),
            "held out": _quantiles(copied.held_out_rms),
            "histogram": {
                "step": HISTOGRAM_STEP,
                "drawn": distance_histogram(copied.drawn_rms),
                "held out": distance_histogram(copied.held_out_rms),
            },
        },
        "share_nearer_than_1_percent_of_held_out": round(copied.nearer_than_held_out_share, 4),
        "num_exact_copies": copied.num_exact_copies,
    }


def _art_sample(split: Split, features: ImageFeatures) -> Sample:
    return Sample(features(art(split)), [str(record["group"]) for record in split.records])


def about_speed(sampler: SamplerConfig) -> dict[str, float]:
    """Time loading, the first sprite, and 64 of them."""
    watch = Stopwatch()
    model = load(None)
    load_s = watch.lap_s()
    draw(model, ["orc warrior"], sampler)
    first_s = watch.lap_s()
    draw(model, ["orc warrior"] * 64, sampler)
    return {
        "load_s": round(load_s, 2),
        "first_sprite_s": round(first_s, 2),
        "sheet_of_64_s": round(watch.lap_s(), 2),
    }


def _arrays(images: Sequence[Image.Image]) -> list[np.ndarray[Any, Any]]:
    return [np.asarray(image) for image in images]


def _images(pixels: Pixels) -> list[Image.Image]:
    return [Image.fromarray(image) for image in pixels]


def _quantiles(values: np.ndarray[Any, Any]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in distance_quantiles(values).items()}


def _told(found: dict[str, Estimate]) -> dict[str, Any]:
    return {
        "kernel_distance": {
            name: {"value": round(d.value, 4), "low": round(d.low, 4), "high": round(d.high, 4)}
            for name, d in found.items()
        }
    }


@one_line_errors
def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m bench.pixelnano", description=__doc__)
    parser.add_argument("--lora", type=Path, required=True, help="run folder or .safetensors")
    parser.add_argument("--tiles", type=Path, default=Path("data/tiles32"))
    parser.add_argument("--sprites", type=Path, default=Path("data/sprites32"))
    parser.add_argument("--pairs", type=Path, default=Path("runs/nearest.png"))
    parser.add_argument("--seeds", type=int, default=2, help="images a held-out tile's caption")
    told = parser.parse_args()
    sampler, features = SamplerConfig(), ImageFeatures()
    learnt = Dataset.open(told.sprites)
    provenance = read_json(ASSETS / "provenance.json")
    if provenance["dataset_digest"] != learnt.digest:
        raise InputError(f"--sprites: {told.sprites} is not the data that the model learnt")
    tiles = about_tiles(
        Dataset.open(told.tiles), features, sampler, seeds=told.seeds, lora_path=told.lora
    )
    sprites = about_sprites(learnt, features, sampler, pairs=told.pairs)
    result = {
        "bench": "pixelnano",
        "sampler": f"{sampler.name.value} {sampler.num_steps} steps, {sampler.guidance_scale}",
        "tiles": tiles,
        "sprites": sprites,
        "speed": about_speed(sampler),
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "torch": torch.__version__,
    }
    print(json.dumps(result, indent=1))
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
