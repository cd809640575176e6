"""Whether a picture holds on its stated grid, and whether a tile repeats without a border.

Shape legend: B batch, H W height width, K L cells down and across, P pixels of a cell.
"""

import numpy as np
import torch
from jaxtyping import Float64

from eval.metric import MetricInfo, Scope
from eval.pixels.batch import Batch, Values, share, steps
from pipeline.pixels.conf import GridConfig
from pipeline.pixels.seams import seam_scores

COHERENT_STEP = GridConfig().coherent_step
"""OKLab. The same as in finishing."""

GRID = MetricInfo(
    name="grid_coherence_share",
    unit="",
    higher_is_better=True,
    scope=Scope.image,
    formula=(
        "pixels within 0.12 OKLab of the median colour of their cell, visible as it is, / pixels,"
        " 0..1; cells of side / native side, from the corner; NaN where cells are single pixels;"
        " 0 where the native side does not divide the picture's"
    ),
    source="this project; pipeline/pixels/cells.py has the same of a grid that was found",
    needs="the native side, and pictures drawn larger than that",
)

TILES = (
    MetricInfo(
        name="seam_energy_oklab",
        unit="OKLab",
        higher_is_better=False,
        scope=Scope.image,
        formula=(
            "mean OKLab step from the last column to the first and the last row to the first,"
            " both axes averaged, 1 between visible and hidden, 0..1"
        ),
        source="this project; pipeline/pixels/seams.py",
        needs="asked for: only tiles are meant to repeat",
    ),
    MetricInfo(
        name="tileability",
        unit="",
        higher_is_better=True,
        scope=Scope.image,
        formula=(
            "min(1, mean step inside / mean step across the border), worse axis, 0..1; 1: the"
            " border shows no more than the inside; 1 for a flat picture"
        ),
        source="this project; pipeline/pixels/seams.py, whose score is the inverse",
        needs="asked for: only tiles are meant to repeat",
    ),
)


def measure_grid(batch: Batch, *, native_size_px: int) -> Values:
    """Return what ``GRID`` describes; the native side is that of the longer side."""
    num, height, width = batch.seen_BHW.shape
    cell_px, rest = divmod(max(height, width), native_size_px)
    if cell_px == 1 and not rest:
        return {"grid_coherence_share": np.full(num, np.nan)}
    if rest or height % cell_px or width % cell_px:
        return {"grid_coherence_share": np.zeros(num)}
    shape = (num, height // cell_px, cell_px, width // cell_px, cell_px)
    order = (0, 1, 3, 2, 4)
    seen_BKLP = batch.seen_BHW.reshape(shape).transpose(order).reshape(*_flat(shape))
    lab_BKLP3 = batch.lab_BHW3.reshape(*shape, 3).transpose(*order, 5).reshape(*_flat(shape), 3)
    is_figure_BKL1 = 2 * seen_BKLP.sum(axis=-1, keepdims=True) >= cell_px**2
    # Hidden colours have no vote.
    votes = np.where(seen_BKLP[..., None] | ~is_figure_BKL1[..., None], lab_BKLP3, np.nan)
    # NaN sorts last, so this is the lower median of those that vote.
    middle = (np.where(is_figure_BKL1, seen_BKLP.sum(-1, keepdims=True), cell_px**2) - 1) // 2
    colour_BKL13 = np.take_along_axis(np.sort(votes, axis=3), middle[..., None], axis=3)
    near = steps(lab_BKLP3, np.broadcast_to(colour_BKL13, lab_BKLP3.shape), seen_BKLP, seen_BKLP)
    coherent = (seen_BKLP == is_figure_BKL1) & (near <= COHERENT_STEP)
    counted = coherent.sum(axis=(1, 2, 3)).astype(np.float64)
    return {"grid_coherence_share": share(counted, np.full(num, float(height * width)))}


def measure_tiles(batch: Batch) -> Values:
    """Return what ``TILES`` describes."""
    lab, seen = batch.lab_BHW3, batch.seen_BHW
    across: list[Float64[np.ndarray, " B"]] = [
        steps(lab.take(-1, axis), lab.take(0, axis), seen.take(-1, axis), seen.take(0, axis)).mean(
            axis=1
        )
        for axis in (1, 2)
    ]
    scores = seam_scores(torch.from_numpy(batch.rgba_BHW4)).numpy().max(axis=1)
    return {
        "seam_energy_oklab": (across[0] + across[1]) / 2,
        "tileability": 1.0 / np.maximum(scores, 1.0),
    }


def _flat(shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    num, rows, down, columns, across = shape
    return num, rows, columns, down * across
