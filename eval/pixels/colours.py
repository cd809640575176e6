"""How many colours a picture has, how much of it lies between two, and how hard its alpha is.

Shape legend: B batch, H W height width.
"""

import numpy as np
from jaxtyping import Bool, Float64

from eval.metric import MetricInfo, Scope
from eval.pixels.batch import Batch, Values, share

BETWEEN = (0.2, 0.8)
"""Where on the way from one neighbour to the other a colour counts as between them."""
MAX_ASIDE = 0.03
"""OKLab. How far from that way it may lie."""
MIN_SPAN = 0.15
"""OKLab. How far apart the neighbours must be."""

METRICS = (
    MetricInfo(
        name="num_colours",
        unit="colours",
        higher_is_better=None,
        scope=Scope.image,
        formula="distinct RGB among pixels with alpha > 0; 0 for an empty picture",
        source="this project; pipeline/pixels/verdict.py counts the same",
    ),
    MetricInfo(
        name="antialiased_share",
        unit="",
        higher_is_better=False,
        scope=Scope.image,
        formula=(
            "visible pixels between two opposite neighbours >= 0.15 OKLab apart (20 to 80 % of the"
            " way, <= 0.03 aside of it) / visible pixels, 0..1; ramps one pixel wide count as well;"
            " NaN for an empty picture"
        ),
        source="this project",
    ),
    MetricInfo(
        name="alpha_hardness_share",
        unit="",
        higher_is_better=True,
        scope=Scope.image,
        formula="pixels with alpha 255 / pixels with alpha > 0, 0..1; NaN for an empty picture",
        source="this project; pipeline/pixels/verdict.py counts the same",
    ),
)


def measure_colours(batch: Batch) -> Values:
    """Return what ``METRICS`` describes."""
    opaque_BHW = batch.rgba_BHW4[..., 3] == 255
    return {
        "num_colours": _num_colours(batch),
        "antialiased_share": share(_between(batch), batch.visible_px),
        "alpha_hardness_share": share(opaque_BHW, batch.visible_px),
    }


def _num_colours(batch: Batch) -> Float64[np.ndarray, " B"]:
    ranked = np.sort(batch.packed_BHW.reshape(len(batch.packed_BHW), -1), axis=1)
    distinct = 1 + (ranked[:, 1:] != ranked[:, :-1]).sum(axis=1)
    counted: Float64[np.ndarray, " B"] = (distinct - (ranked[:, 0] < 0)).astype(np.float64)
    return counted


def _between(batch: Batch) -> Bool[np.ndarray, "B H W"]:
    """Mark visible pixels whose colour lies between those of two opposite visible neighbours."""
    found_BHW = np.zeros_like(batch.seen_BHW)
    for turned in (False, True):
        lab, seen, marked = (
            array.swapaxes(1, 2) if turned else array
            for array in (batch.lab_BHW3, batch.seen_BHW, found_BHW)
        )
        way = lab[:, :, 2:] - lab[:, :, :-2]
        own = lab[:, :, 1:-1] - lab[:, :, :-2]
        span2 = np.square(way).sum(axis=-1)
        part = (own * way).sum(axis=-1) / np.maximum(span2, 1e-12)
        aside2 = np.square(own - part[..., None] * way).sum(axis=-1)
        marked[:, :, 1:-1] |= (
            (span2 >= MIN_SPAN**2)
            & (part >= BETWEEN[0])
            & (part <= BETWEEN[1])
            & (aside2 <= MAX_ASIDE**2)
            & (seen[:, :, 2:] & seen[:, :, 1:-1] & seen[:, :, :-2])
        )
    return found_BHW
