"""Whether a tile repeats without a visible border, and mending it when it does not.

The score of an axis is the mean OKLab step across the border, from the last column to the first,
over the mean step inside. Mending is image quilting (Efros and Freeman, SIGGRAPH 2001) of a tile
with itself: rolled by half, its border lies in the middle; there the tile as it was, which has no
border in its middle, is laid over it, cut along two paths of least difference. Paths end where they
began, so the other axis stays as good as it was, and every pixel is one of the tile's own colours.

Shape legend: B batch, H W height width, S places a path may start, E places across the band.
"""

import torch
from jaxtyping import Float64, Int64, UInt8
from torch import Tensor

from pipeline.pixels.conf import SeamConfig
from pipeline.pixels.oklab import UNIT, distance2, to_oklab

WORST = 1e6
"""Score of a tile with steps across its border and none inside."""
FAR = float("inf")


def seam_scores(images_BHWC: UInt8[Tensor, "B H W 4"]) -> Float64[Tensor, "B 2"]:
    """Return the score across left and right, and across top and bottom. 0 where nothing steps."""
    scores = []
    for dim in (2, 1):
        step_BHW = _steps(images_BHWC, images_BHWC.roll(-1, dims=dim))
        size = images_BHWC.shape[dim]
        across_B = step_BHW.narrow(dim, size - 1, 1).double().mean(dim=(1, 2))
        inside = step_BHW.narrow(dim, 0, size - 1).double()
        inside_B = inside.mean(dim=(1, 2)) if size > 1 else across_B
        score_B = torch.where(
            inside_B > 0, across_B / inside_B.clamp(min=1e-12), (across_B > 0) * WORST
        )
        scores.append(score_B.clamp(max=WORST))
    return torch.stack(scores, dim=1)


def repair_seams(
    images_BHWC: UInt8[Tensor, "B H W 4"], cfg: SeamConfig
) -> UInt8[Tensor, "B H W 4"]:
    """Mend each axis whose score is above ``max_score``, if that makes the worse score better."""
    out_BHWC = images_BHWC
    for dim in (2, 1):
        if min(images_BHWC.shape[1:3]) < 4:
            break
        before_B2 = seam_scores(out_BHWC)
        mended_BHWC = _mend(out_BHWC, dim=dim, band=cfg.band)
        better_B = seam_scores(mended_BHWC).amax(dim=1) < before_B2.amax(dim=1)
        better_B &= before_B2[:, 2 - dim] > cfg.max_score
        out_BHWC = torch.where(better_B[:, None, None, None], mended_BHWC, out_BHWC)
    return out_BHWC


def _steps(left: Tensor, right: Tensor) -> Tensor:
    """Return OKLab distances, 1 between visible and transparent, 0 between transparent pixels."""
    away = distance2(to_oklab(left[..., :3]), to_oklab(right[..., :3])).double().sqrt() / UNIT
    seen = [side[..., 3] > 0 for side in (left, right)]
    return torch.where(seen[0] & seen[1], away, (seen[0] != seen[1]).double())


def _mend(images_BHWC: Tensor, *, dim: int, band: float) -> Tensor:
    """Mend the border across one axis."""
    tile_BHWC = images_BHWC if dim == 2 else images_BHWC.transpose(1, 2)
    width = tile_BHWC.shape[2]
    half, reach = width // 2, max(1, min(int(width * band), width // 2 - 1))
    rolled_BHWC = tile_BHWC.roll(half, dims=2)
    unlike_BHW = _steps(tile_BHWC, rolled_BHWC) ** 2
    # A cut before column c costs what both sides differ by on either hand of it.
    cost_BHW = unlike_BHW + unlike_BHW.roll(1, dims=2)
    # The patch must cover the last column before the old border and the first one after it.
    left_BH = half - reach + _closed_path(cost_BHW[:, :, half - reach : half])
    right_BH = half + 1 + _closed_path(cost_BHW[:, :, half + 1 : half + 1 + reach])
    column_W = torch.arange(width, device=tile_BHWC.device)
    patch_BHW = (column_W >= left_BH[..., None]) & (column_W < right_BH[..., None])
    mended = torch.where(patch_BHW[..., None], tile_BHWC, rolled_BHWC).roll(-half, dims=2)
    return mended if dim == 2 else mended.transpose(1, 2)


def _closed_path(cost_BHE: Float64[Tensor, "B H E"]) -> Int64[Tensor, "B H"]:
    """Return the cheapest path from the first row to the last that could go on in the first.

    Every start is tried at once: a path from S must end next to S.
    """
    batch, height, places = cost_BHE.shape
    device = cost_BHE.device
    start_SE = torch.full((places, places), FAR, dtype=torch.float64, device=device)
    start_SE.fill_diagonal_(0.0)
    total_BSE = start_SE + cost_BHE[:, None, 0]
    moves = []
    for row in range(1, height):
        padded = torch.nn.functional.pad(total_BSE, (1, 1), value=FAR)
        ways = torch.stack([padded[..., 1:-1], padded[..., :-2], padded[..., 2:]])
        cheapest, way = ways.min(dim=0)
        moves.append(torch.tensor([0, -1, 1], device=device)[way])
        total_BSE = cheapest + cost_BHE[:, None, row]
    place = torch.arange(places, device=device)
    near_SE = (place[:, None] - place[None]).abs() <= 1
    closed = total_BSE.masked_fill(~near_SE, FAR).reshape(batch, -1)
    best_B = closed.argmin(dim=1)
    who_B = torch.arange(batch, device=device)
    start_B, at_B = best_B // places, best_B % places
    path = [at_B]
    for move in reversed(moves):
        path.append(path[-1] + move[who_B, start_B, path[-1]])
    return torch.stack(path[::-1], dim=1)
