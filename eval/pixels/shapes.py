"""Stray pixels, outlines, symmetry, and whether a figure can be told from its ground at 1x.

A *contour* pixel is a visible one with a transparent pixel above, below or beside it. Contours need
a transparent ground: pictures that fill their frame have none, and what asks for one is NaN there.

Shape legend: B batch, H W height width.
"""

import numpy as np
from jaxtyping import Bool, Float64, Int64, Shaped

from eval.metric import MetricInfo, Scope
from eval.pixels.batch import Batch, Values, share, steps
from eval.similarity import GROUND
from pipeline.pixels.cleanup import AROUND
from pipeline.pixels.conf import CleanupConfig

ALIKE_STEP = CleanupConfig().orphan_min_step
OUTLINE_LIGHTNESS = CleanupConfig().outline_max_lightness
OUTLINE_STEP = 0.1
"""OKLab lightness. A contour pixel this much darker than the figure inside it is outline too."""
MIRROR_STEP = 0.05
"""OKLab. A pixel and its mirror within this are alike."""
IN_LINE = ((-1, 0), (1, 0), (0, -1), (0, 1))
GROUND_LAB = Batch.of([np.full((8, 8, 3), GROUND, dtype=np.uint8)]).lab_BHW3[0, 0, 0]

METRICS = (
    MetricInfo(
        name="orphan_share",
        unit="",
        higher_is_better=False,
        scope=Scope.image,
        formula=(
            "pixels off the border unlike all eight neighbours (> 0.02 OKLab, or visible against"
            " hidden) / visible pixels, 0..1; eyes and glints count too; NaN for an empty picture"
        ),
        source="this project; pipeline/pixels/cleanup.py mends those that are no highlights",
    ),
    MetricInfo(
        name="outline_continuity_share",
        unit="",
        higher_is_better=True,
        scope=Scope.image,
        formula=(
            "contour pixels of lightness <= 0.35 or >= 0.1 below the mean of their inner neighbours"
            " / contour pixels, 0..1; low for art without outlines; NaN without a contour"
        ),
        source="this project",
    ),
    MetricInfo(
        name="silhouette_contrast_oklab",
        unit="OKLab",
        higher_is_better=True,
        scope=Scope.image,
        formula=(
            "mean over contour pixels of alpha times the OKLab distance to grey (128), 0..1;"
            " NaN without a contour"
        ),
        source="this project; colour space: Ottosson 2020",
    ),
    MetricInfo(
        name="silhouette_compactness",
        unit="",
        higher_is_better=None,
        scope=Scope.image,
        formula=(
            "16 x visible pixels / (pixel sides between visible and hidden)^2, 0..1, 1 for a square"
            "; pieces, holes and ragged edges lower it; NaN for an empty or a full picture"
        ),
        source="isoperimetric quotient (Osserman 1978) for 4-connected pixels",
    ),
    MetricInfo(
        name="silhouette_legibility",
        unit="",
        higher_is_better=True,
        scope=Scope.image,
        formula=(
            "sqrt(min(1, silhouette_contrast_oklab / lightness of grey (128))"
            " x silhouette_compactness), 0..1; compare pictures of the same things only"
        ),
        source="this project: figure-ground contrast and simplicity, no fit to people's ratings",
    ),
)

SYMMETRY = MetricInfo(
    name="symmetry_share",
    unit="",
    higher_is_better=True,
    scope=Scope.image,
    formula=(
        "pixels within 0.05 OKLab of their mirror / pixels visible there or in the mirror, 0..1;"
        " about the middle of the visible columns; NaN for an empty picture"
    ),
    source="this project",
    needs="asked for: most art is not meant to be symmetric",
)


def measure_shapes(batch: Batch) -> Values:
    """Return what ``METRICS`` describes."""
    contour_BHW = batch.seen_BHW & _any_around(~batch.seen_BHW)
    length_px = contour_BHW.sum(axis=(1, 2)).astype(np.float64)
    alpha_BHW = batch.rgba_BHW4[..., 3] / 255.0
    away_BHW = np.sqrt(np.square(batch.lab_BHW3 - GROUND_LAB).sum(axis=-1)) * alpha_BHW
    contrast = share(np.where(contour_BHW, away_BHW, 0.0), length_px)
    compactness = _compactness(batch)
    return {
        "orphan_share": share(_stray(batch), batch.visible_px),
        "outline_continuity_share": share(contour_BHW & _outline(batch, contour_BHW), length_px),
        "silhouette_contrast_oklab": contrast,
        "silhouette_compactness": compactness,
        "silhouette_legibility": np.sqrt(np.minimum(1.0, contrast / GROUND_LAB[0]) * compactness),
    }


def measure_symmetry(batch: Batch) -> Values:
    """Return what ``SYMMETRY`` describes."""
    columns = np.asarray(batch.seen_BHW.any(axis=1))
    width = columns.shape[1]
    first, last = columns.argmax(axis=1), width - 1 - columns[:, ::-1].argmax(axis=1)
    place: Int64[np.ndarray, "B W"] = (first + last)[:, None] - np.arange(width)
    is_inside = (place >= 0) & (place < width)
    index = np.clip(place, 0, width - 1)
    mirrored = np.take_along_axis(batch.seen_BHW, index[:, None, :], axis=2)
    seen = mirrored & is_inside[:, None]
    lab = np.take_along_axis(batch.lab_BHW3, index[:, None, :, None], axis=2)
    either = batch.seen_BHW | seen
    alike = steps(batch.lab_BHW3, lab, batch.seen_BHW, seen) <= MIRROR_STEP
    return {"symmetry_share": share(alike & either, either.sum(axis=(1, 2)).astype(np.float64))}


def _stray(batch: Batch) -> Bool[np.ndarray, "B H W"]:
    """Mark what finishing looks at before it asks whether a pixel was put there to be seen."""
    found = np.zeros_like(batch.seen_BHW)
    lab, seen = batch.lab_BHW3, batch.seen_BHW
    _, height, width = seen.shape
    inside = np.s_[:, 1:-1, 1:-1]
    alone = np.ones_like(seen[inside])
    for row, column in AROUND:
        beside = np.s_[:, 1 + row : height - 1 + row, 1 + column : width - 1 + column]
        alone &= steps(lab[inside], lab[beside], seen[inside], seen[beside]) > ALIKE_STEP
    found[inside] = alone
    return found


def _outline(batch: Batch, contour_BHW: Bool[np.ndarray, "B H W"]) -> Bool[np.ndarray, "B H W"]:
    """Mark pixels that are dark, or darker than the figure inside the contour next to them."""
    light = batch.lab_BHW3[..., 0]
    inner = batch.seen_BHW & ~contour_BHW
    light_sum, count = (
        sum(_shifted(array, *way) for way in AROUND)
        for array in (np.where(inner, light, 0.0), inner.astype(np.float64))
    )
    mean = light_sum / np.maximum(count, 1.0)
    is_outline: Bool[np.ndarray, "B H W"] = (light <= OUTLINE_LIGHTNESS) | (
        (count > 0) & (mean - light >= OUTLINE_STEP)
    )
    return is_outline


def _compactness(batch: Batch) -> Float64[np.ndarray, " B"]:
    """Beyond the frame counts as ground, so a figure cut off by it has a side there."""
    framed = np.pad(batch.seen_BHW, ((0, 0), (1, 1), (1, 1)))
    sides = (framed[:, 1:] != framed[:, :-1]).sum(axis=(1, 2)) + (
        framed[:, :, 1:] != framed[:, :, :-1]
    ).sum(axis=(1, 2))
    is_full = batch.seen_BHW.all(axis=(1, 2))
    return share(16.0 * batch.visible_px, np.where(is_full, 0.0, sides.astype(np.float64) ** 2))


def _any_around(marked_BHW: Bool[np.ndarray, "B H W"]) -> Bool[np.ndarray, "B H W"]:
    found = np.zeros_like(marked_BHW)
    for way in IN_LINE:
        found |= _shifted(marked_BHW, *way)
    return found


def _shifted(
    array_BHW: Shaped[np.ndarray, "B H W"], row: int, column: int
) -> Shaped[np.ndarray, "B H W"]:
    """Return each pixel's neighbour in one direction, 0 beyond the frame."""
    _, height, width = array_BHW.shape
    framed = np.pad(array_BHW, ((0, 0), (1, 1), (1, 1)))
    return framed[:, 1 + row : 1 + row + height, 1 + column : 1 + column + width]
