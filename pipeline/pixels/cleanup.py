"""Stray pixels, and doubled corners of outlines one pixel wide.

Shape legend: B batch, H W height width, D the eight directions.
"""

import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

from pipeline.pixels.conf import CleanupConfig
from pipeline.pixels.oklab import UNIT, distance2, squared, to_oklab

AROUND = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))
"""Rows and columns to the eight neighbours, those in line with the pixel at odd places or by 4."""
CORNERS = (((-1, 0), (0, 1)), ((0, 1), (1, 0)), ((1, 0), (0, -1)), ((0, -1), (-1, 0)))
"""Pairs of neighbours in line with a pixel that meet at a corner."""


def remove_orphans(
    images_BHWC: UInt8[Tensor, "B H W 4"], cfg: CleanupConfig
) -> UInt8[Tensor, "B H W 4"]:
    """Replace single pixels unlike all eight neighbours by the colour most neighbours share.

    A pixel is stray when no neighbour is within ``orphan_min_step`` of it, at least
    ``orphan_min_agree`` neighbours have exactly one colour between them, and it differs from that
    colour by no more than ``orphan_max_step``: what stands out more was put there to be seen (an
    eye, a glint, a star) and stays. Visible and transparent differ by more than any colours, but a
    lone visible pixel in the void and a pinhole in a surface are no highlights: both are mended.
    Pixels at the border of the image have fewer neighbours and are left alone.
    """
    _, height, width, _ = images_BHWC.shape
    if min(height, width) < 3:
        return images_BHWC
    inside_BHWC = images_BHWC[:, 1:-1, 1:-1]
    around_BDHWC = torch.stack(
        [_shifted(images_BHWC, row, column) for row, column in AROUND], dim=1
    )
    lab_BHW3, around_BDHW3 = to_oklab(inside_BHWC[..., :3]), to_oklab(around_BDHWC[..., :3])
    seen_BHW, seen_BDHW = inside_BHWC[..., 3] > 0, around_BDHWC[..., 3] > 0
    both_BDHW = seen_BHW[:, None] & seen_BDHW
    near_BDHW = distance2(lab_BHW3[:, None], around_BDHW3) <= squared(cfg.orphan_min_step)
    alike_BDHW = both_BDHW & near_BDHW | ~seen_BHW[:, None] & ~seen_BDHW
    votes_BHW, winner_BHWC = _most_common(around_BDHWC, seen_BDHW)
    winner_seen_BHW = winner_BHWC[..., 3] > 0
    step_BHW = distance2(lab_BHW3, to_oklab(winner_BHWC[..., :3]))
    faint_BHW = step_BHW <= squared(cfg.orphan_max_step)
    stray_BHW = (
        ~alike_BDHW.any(dim=1)
        & (votes_BHW >= cfg.orphan_min_agree)
        & (faint_BHW | (seen_BHW != winner_seen_BHW))
    )
    out_BHWC = images_BHWC.clone()
    out_BHWC[:, 1:-1, 1:-1] = torch.where(stray_BHW[..., None], winner_BHWC, inside_BHWC)
    return out_BHWC


def thin_outlines(
    images_BHWC: UInt8[Tensor, "B H W 4"], cfg: CleanupConfig
) -> UInt8[Tensor, "B H W 4"]:
    """Take away the corner pixel of each L in an outline one pixel wide.

    A corner is a dark pixel with two neighbours of its very colour, one in a row and one in a
    column, and none of that colour at the other two sides nor between the two: the line holds by
    the diagonal without it. It takes the colour of the other two sides, and only when those are one
    colour or both transparent. Corners are taken one after another, row by row, so a staircase is
    thinned and never broken.
    """
    lab_BHW3 = to_oklab(images_BHWC[..., :3])
    dark_BHW = (images_BHWC[..., 3] > 0) & (
        lab_BHW3[..., 0] <= round(cfg.outline_max_lightness * UNIT)
    )
    out_BHWC = images_BHWC.clone()
    for number, row, column in _corner_like(images_BHWC, dark_BHW).nonzero().tolist():
        image_HWC = out_BHWC[number]
        filling = _corner_filling(image_HWC, row, column)
        if filling is not None:
            image_HWC[row, column] = filling
    return out_BHWC


def _shifted(images_BHWC: Tensor, row: int, column: int) -> Tensor:
    """Return the neighbours in one direction of all pixels but those at the border."""
    _, height, width, _ = images_BHWC.shape
    return images_BHWC[:, 1 + row : height - 1 + row, 1 + column : width - 1 + column]


def _most_common(around_BDHWC: Tensor, seen_BDHW: Tensor) -> tuple[Tensor, Tensor]:
    """Return how many neighbours share the commonest colour, and that colour; first of equals."""
    wide = around_BDHWC.to(torch.int64)
    packed = wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]
    # Hidden colours do not count: all transparent neighbours are one.
    packed = torch.where(seen_BDHW, packed, -1)
    best = torch.zeros_like(packed[:, 0])
    winner = around_BDHWC[:, 0]
    for direction in range(len(AROUND)):
        votes = (packed == packed[:, direction, None]).sum(dim=1)
        colour = around_BDHWC[:, direction].masked_fill(~seen_BDHW[:, direction, ..., None], 0)
        winner = torch.where((votes > best)[..., None], colour, winner)
        best = torch.maximum(best, votes)
    return best, winner


def _corner_like(
    images_BHWC: UInt8[Tensor, "B H W 4"], dark_BHW: Bool[Tensor, "B H W"]
) -> Bool[Tensor, "B H W"]:
    """Mark dark inside pixels that have a neighbour of their colour in a row and in a column."""
    found_BHW = torch.zeros_like(dark_BHW)
    if min(images_BHWC.shape[1:3]) < 3:
        return found_BHW
    middle = images_BHWC[:, 1:-1, 1:-1]
    up, down, left, right = (
        (_shifted(images_BHWC, row, column) == middle).all(dim=-1)
        for row, column in ((-1, 0), (1, 0), (0, -1), (0, 1))
    )
    found_BHW[:, 1:-1, 1:-1] = (up ^ down) & (left ^ right)
    return found_BHW & dark_BHW


def _corner_filling(image_HWC: Tensor, row: int, column: int) -> Tensor | None:
    """Return what a corner pixel gives way to, or None when it must stay."""
    own = image_HWC[row, column]

    def is_own(down: int, right: int) -> bool:
        return torch.equal(image_HWC[row + down, column + right], own)

    for first, second in CORNERS:
        between = (first[0] + second[0], first[1] + second[1])
        others = (
            image_HWC[row - first[0], column - first[1]],
            image_HWC[row - second[0], column - second[1]],
        )
        if not (is_own(*first) and is_own(*second)) or is_own(*between):
            continue
        if any(torch.equal(other, own) for other in others):
            continue
        if all(int(other[3]) == 0 for other in others) or torch.equal(*others):
            return others[0].clone()
    return None
