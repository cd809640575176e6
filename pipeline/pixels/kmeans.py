"""Palettes out of pictures: weighted k-means in OKLab, the same for the same colours and seed.

First centres are drawn as in k-means++ (Arthur and Vassilvitskii, SODA 2007), each by one number
from the seed; then Lloyd's rounds. Colours enter sorted, so neither the order of pixels nor that of
images matters.

Shape legend: N distinct colours, K centres.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from pipeline.core.seeds import derive_uniform
from pipeline.pixels.oklab import UNIT, Bytes, from_oklab, nearest, to_oklab

Counts = np.ndarray[Any, np.dtype[np.int64]]

MAX_ROUNDS = 32
DOMINANT = 0.5
"""Where one colour has this share of its cluster, it is the cluster's colour, exactly."""


def count_colours(images_HWC: Iterable[Bytes]) -> tuple[Bytes, Counts]:
    """Return the distinct visible colours of images, sorted, and how often each occurs."""
    packed: list[np.ndarray[Any, Any]] = []
    for image in images_HWC:
        visible = image[..., :3].reshape(-1, 3)
        if image.shape[2] == 4:
            visible = visible[image[..., 3].reshape(-1) >= 128]
        wide = visible.astype(np.int64)
        packed.append(wide[:, 0] << 16 | wide[:, 1] << 8 | wide[:, 2])
    values, counts = np.unique(
        np.concatenate(packed) if packed else np.zeros(0, dtype=np.int64), return_counts=True
    )
    channels = [values >> 16, values >> 8 & 255, values & 255]
    return np.stack(channels, axis=1).astype(np.uint8), counts.astype(np.int64)


def cluster(colours_N3: Bytes, counts_N: Counts, *, num_colours: int, seed: int) -> Bytes:
    """Return up to ``num_colours`` colours; all of them, exactly, when there are no more.

    Deterministic given all arguments. O(N x K) a round, memory bounded.
    """
    if len(colours_N3) <= num_colours:
        return colours_N3
    lab_N3 = to_oklab(torch.from_numpy(colours_N3))
    centres = lab_N3[torch.from_numpy(_first_centres(lab_N3, counts_N, num_colours, seed))]
    weight = counts_N.astype(np.float64)
    values = lab_N3.numpy().astype(np.float64)
    owner = np.full(len(colours_N3), -1)
    for _ in range(MAX_ROUNDS):
        now = nearest(lab_N3, centres)[0].numpy()
        if np.array_equal(now, owner):
            break
        owner = now
        mass = np.bincount(owner, weights=weight, minlength=num_colours)
        sums = [
            np.bincount(owner, weights=weight * values[:, c], minlength=num_colours)
            for c in range(3)
        ]
        mean = np.stack(sums, axis=1) / np.maximum(mass, 1)[:, None]
        # A centre that lost all its colours stays where it is.
        moved = np.where(mass[:, None] > 0, mean.round(), centres.numpy())
        centres = torch.from_numpy(moved.astype(np.int32))
    chosen = from_oklab(centres.numpy().astype(np.float64) / UNIT)
    for number in range(num_colours):
        mine = np.flatnonzero(owner == number)
        if len(mine):
            most = mine[int(counts_N[mine].argmax())]
            if counts_N[most] >= DOMINANT * counts_N[mine].sum():
                chosen[number] = colours_N3[most]
    return np.unique(chosen, axis=0)


def _first_centres(lab_N3: torch.Tensor, counts_N: Counts, num: int, seed: int) -> Counts:
    """Draw centres one by one, each with a chance that grows with its distance from the others."""
    chosen = [int(counts_N.argmax())]
    away_N = nearest(lab_N3, lab_N3[chosen])[1].numpy().astype(np.float64)
    for number in range(1, num):
        total = np.cumsum(away_N * counts_N)
        drawn = derive_uniform(seed, "palette", number) * total[-1]
        chosen.append(int(min(np.searchsorted(total, drawn, side="right"), len(total) - 1)))
        new_N = nearest(lab_N3, lab_N3[chosen[-1:]])[1].numpy()
        away_N = np.minimum(away_N, new_N)
    return np.array(chosen, dtype=np.int64)
