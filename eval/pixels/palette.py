"""How far the colours of a picture, or of a set, lie from those of a data set.

The earth mover's distance between two palettes weighted by area, in OKLab, is taken by slices: both
are projected onto fixed directions spread evenly over the half sphere, where the distance is the
area between two cumulative sums, exactly, and twice the mean is told (sliced Wasserstein: Rabin,
Peyre, Delon and Bernot 2011; Bonneel, Rabin, Peyre and Pfister 2015). The mean of |cos| over the
half sphere is 1/2, so it equals the earth mover's distance wherever one palette is the other moved,
and is never more than it, up to 1 % because directions are 96 and not all.

Shape legend: N images, K colours of the data set, k colours of a picture, D directions, G groups,
R draws.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64, Int64

from eval.intervals import DRAWS, LEVEL, Estimate, bootstrap, middle
from eval.metric import MetricInfo, Scope
from eval.pixels.batch import Batch, Values
from pipeline.pixels.kmeans import Counts, cluster, count_colours
from pipeline.pixels.oklab import UNIT, Bytes, nearest, to_oklab

NUM_COLOURS = 128
"""Colours that stand for a data set; its own, exactly, where it has no more."""
NUM_DIRECTIONS = 96
PART = 256
"""Images counted at once."""

METRICS = (
    MetricInfo(
        name="palette_distance_oklab",
        unit="OKLab",
        higher_is_better=None,
        scope=Scope.image,
        formula=(
            "sliced Wasserstein-1 x 2 between the visible pixels' OKLab and the data set's 128"
            " colours by area, 0..1.1; not 0 for its own pictures, as one is not the whole;"
            " NaN for an empty picture"
        ),
        source="Rabin et al. 2011; Bonneel et al. 2015; at most the earth mover's distance",
        needs="a data set to compare with",
    ),
    MetricInfo(
        name="set_palette_distance_oklab",
        unit="OKLab",
        higher_is_better=False,
        scope=Scope.set,
        formula=(
            "the same between the set's pixels of alpha >= 128, in 128 colours by area, and the"
            " data set's"
        ),
        source="Rabin et al. 2011; Bonneel et al. 2015; at most the earth mover's distance",
        needs="a data set to compare with",
    ),
)


def _directions() -> Float64[np.ndarray, "3 D"]:
    """Return unit vectors on a Fibonacci spiral over the half sphere (Swinbank and Purser 2006)."""
    number = np.arange(NUM_DIRECTIONS)
    height = (number + 0.5) / NUM_DIRECTIONS
    angle = number * np.pi * (3 - np.sqrt(5))
    across = np.sqrt(1 - height**2)
    return np.stack([across * np.cos(angle), across * np.sin(angle), height])


DIRECTIONS = _directions()


@dataclass(frozen=True, eq=False, slots=True)
class PaletteReference:
    """The colours of a data set and how much of its visible area each has."""

    lab_K3: Float64[np.ndarray, "K 3"]
    share_K: Float64[np.ndarray, " K"]
    """Adds up to 1."""

    @classmethod
    def of(cls, images: Sequence[Bytes], *, seed: int = 0) -> "PaletteReference":
        """Count the colours of images and gather them into ``NUM_COLOURS`` (k-means in OKLab).

        Raises:
            ValueError: Nothing is visible in any of them.
        """
        colours, counts = _all_colours(images)
        if not len(colours):
            raise ValueError(f"nothing is visible in any of {len(images)} images")
        chosen = to_oklab(
            torch.from_numpy(cluster(colours, counts, num_colours=NUM_COLOURS, seed=seed))
        )
        area = _areas(colours, counts, chosen)
        return cls(chosen.numpy() / UNIT, area / area.sum())


def measure_palette(batch: Batch, *, reference: PaletteReference) -> Values:
    """Return each picture's ``palette_distance_oklab``."""
    found = np.full(len(batch.packed_BHW), np.nan)
    for number, pixels in enumerate(batch.packed_BHW):
        colours, first, counts = np.unique(pixels, return_index=True, return_counts=True)
        visible = colours >= 0
        if visible.any():
            lab = batch.lab_BHW3[number].reshape(-1, 3)[first[visible]]
            area = counts[visible] / counts[visible].sum()
            found[number] = sliced_distance(lab, area, reference.lab_K3, reference.share_K)
    return {"palette_distance_oklab": found}


def sliced_distance(
    left_lab: Float64[np.ndarray, "k 3"],
    left_share: Float64[np.ndarray, " k"],
    right_lab: Float64[np.ndarray, "K 3"],
    right_share: Float64[np.ndarray, " K"],
) -> float:
    """Return twice the mean over directions of the Wasserstein-1 distance of two palettes."""
    order, gaps = _ranked(np.concatenate([left_lab, right_lab]))
    moved = np.concatenate([left_share, -right_share])[order].cumsum(axis=0)[:-1]
    return float(2 * (np.abs(moved) * gaps).sum(axis=0).mean())


def set_palette_distance(
    images: Sequence[Bytes],
    groups: Sequence[str],
    reference: PaletteReference,
    *,
    seed: int = 0,
    level: float = LEVEL,
    draws: int = DRAWS // 10,
) -> Estimate:
    """Return ``set_palette_distance_oklab`` with an interval over groups.

    A distance of a redrawn set is larger on the whole, since it adds its own scatter; how the draws
    spread around their mean is what the interval takes from them.

    Raises:
        ValueError: Nothing is visible in any image, or groups are not as many as images.
    """
    own = PaletteReference.of(images, seed=seed)
    names, number = np.unique(np.array(groups, dtype=np.str_), return_inverse=True)
    centres = torch.from_numpy(np.round(own.lab_K3 * UNIT).astype(np.int32))
    areas_GK = np.zeros((len(names), len(own.lab_K3)))
    for group, image in zip(number, images, strict=True):
        areas_GK[group] += _areas(*count_colours([image]), centres)
    order, gaps = _ranked(np.concatenate([own.lab_K3, reference.lab_K3]))

    def distances(weights: Float64[np.ndarray, "R G"]) -> Float64[np.ndarray, " R"]:
        areas = weights @ areas_GK
        areas /= np.maximum(areas.sum(axis=1, keepdims=True), 1.0)
        right = np.broadcast_to(-reference.share_K, (len(areas), len(reference.share_K)))
        moved = np.concatenate([areas, right], axis=1)[:, order].cumsum(axis=1)[:, :-1]
        found: Float64[np.ndarray, " R"] = 2 * (np.abs(moved) * gaps).sum(axis=1).mean(axis=1)
        return found

    value = float(distances(np.ones((1, len(names))))[0])
    spread = bootstrap(distances, len(names), seed=seed, draws=draws, width=order.size)
    low, high = middle(spread - spread.mean() if len(spread) else spread, level)
    return Estimate(
        value=value,
        low=max(0.0, value + low) if len(spread) else np.nan,
        high=value + high,
        num=len(images),
        num_groups=len(names),
    )


def _ranked(
    lab: Float64[np.ndarray, "n 3"],
) -> tuple[Int64[np.ndarray, "n D"], Float64[np.ndarray, "m D"]]:
    """Return the order of colours along each direction, (n, D), and the gaps between them."""
    along = lab @ DIRECTIONS
    order = np.argsort(along, axis=0, kind="stable")
    return order, np.diff(np.take_along_axis(along, order, axis=0), axis=0)


def _areas(colours: Bytes, counts: Counts, centres: torch.Tensor) -> Float64[np.ndarray, " K"]:
    """Return how many pixels have each centre for their nearest."""
    owner = nearest(to_oklab(torch.from_numpy(colours)), centres)[0].numpy()
    areas: Float64[np.ndarray, " K"] = np.bincount(
        owner, weights=counts.astype(np.float64), minlength=len(centres)
    )
    return areas


def _all_colours(images: Sequence[Bytes]) -> tuple[Bytes, Counts]:
    """Count colours a part of the images at a time: what is held grows with colours alone."""
    starts = range(0, max(1, len(images)), PART)
    return _merged([count_colours(images[start : start + PART]) for start in starts])


def _merged(
    parts: Iterable[tuple[Bytes, Counts]],
) -> tuple[Bytes, Counts]:
    colours, counts = (np.concatenate(side) for side in zip(*parts, strict=True))
    distinct, owner = np.unique(colours, axis=0, return_inverse=True)
    summed = np.bincount(owner.reshape(-1), weights=counts, minlength=len(distinct))
    return distinct, summed.astype(np.int64)
