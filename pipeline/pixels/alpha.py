"""Hard alpha, and removing a plain background by a flood from the border.

Shape legend: B batch, H W height width, P border pixels.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int32, UInt8
from torch import Tensor

from pipeline.pixels.conf import BackgroundConfig
from pipeline.pixels.oklab import distance2, squared, to_oklab

MAX_BORDER = 512
"""Border pixels that vote, evenly over a longer border."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Background:
    """What the flood did to one image."""

    sure: bool
    """Whether enough of the border is one colour (or transparent)."""
    border_share: float
    """Share of the border that is."""
    removed_px: int


def harden(images_BHWC: UInt8[Tensor, "B H W 4"], *, threshold: int) -> UInt8[Tensor, "B H W 4"]:
    """Make each pixel opaque or transparent black; what is either already stays as it is."""
    alpha_BHW1 = images_BHWC[..., 3:]
    visible_BHW1 = alpha_BHW1 >= threshold
    opaque_BHWC = torch.cat([images_BHWC[..., :3], torch.full_like(alpha_BHW1, 255)], dim=-1)
    empty_BHWC = torch.where(alpha_BHW1 == 0, images_BHWC, torch.zeros_like(images_BHWC))
    return torch.where(visible_BHW1, opaque_BHWC, empty_BHWC)


def remove_background(
    images_BHWC: UInt8[Tensor, "B H W 4"], cfg: BackgroundConfig
) -> tuple[UInt8[Tensor, "B H W 4"], list[Background]]:
    """Make what the border's colour reaches transparent; the same colour inside stays.

    The flood is 4-connected: it does not slip through the diagonal gaps of an outline.
    """
    lab_BHW3 = to_oklab(images_BHWC[..., :3])
    visible_BHW = images_BHWC[..., 3] > 0
    like_BHW = torch.zeros_like(visible_BHW)
    shares = []
    for number, (lab_HW3, visible_HW) in enumerate(zip(lab_BHW3, visible_BHW, strict=True)):
        colour_3, share = _border_colour(lab_HW3, visible_HW, cfg.tolerance)
        shares.append(share)
        if share >= cfg.min_border_share:
            like_BHW[number] = ~visible_HW | (
                distance2(lab_HW3, colour_3) <= squared(cfg.tolerance)
            )
    gone_BHW = flood(like_BHW) & visible_BHW
    out_BHWC = images_BHWC.masked_fill(gone_BHW[..., None], 0)
    removed = gone_BHW.sum(dim=(1, 2)).tolist()
    return out_BHWC, [
        Background(sure=share >= cfg.min_border_share, border_share=share, removed_px=int(num))
        for share, num in zip(shares, removed, strict=True)
    ]


def flood(open_BHW: Bool[Tensor, "B H W"]) -> Bool[Tensor, "B H W"]:
    """Return what can be reached from the border over open pixels, in steps up, down and aside.

    A round fills whole runs of rows, then of columns, so rounds count bends and not pixels.
    """
    reached_BHW = torch.zeros_like(open_BHW)
    for dim, end in ((1, 0), (1, -1), (2, 0), (2, -1)):
        reached_BHW.select(dim, end).copy_(open_BHW.select(dim, end))
    while True:
        before = reached_BHW
        reached_BHW = _along_rows(open_BHW, reached_BHW)
        turned = _along_rows(open_BHW.transpose(1, 2), reached_BHW.transpose(1, 2))
        reached_BHW = turned.transpose(1, 2)
        if torch.equal(before, reached_BHW):
            return reached_BHW


def _along_rows(open_BHW: Tensor, reached_BHW: Tensor) -> Tensor:
    """Fill each run of open pixels in a row that holds a reached one."""
    batch, height, width = open_BHW.shape
    # Each closed pixel begins a new run; runs of all rows are numbered apart.
    run = (~open_BHW).reshape(batch * height, width).cumsum(dim=1)
    hits = torch.zeros((batch * height, width + 1), dtype=torch.int64, device=open_BHW.device)
    hits.scatter_add_(1, run, reached_BHW.reshape(batch * height, width).to(torch.int64))
    filled = (hits.gather(1, run) > 0).reshape(batch, height, width)
    return filled & open_BHW


def _border_colour(
    lab_HW3: Int32[Tensor, "H W 3"], visible_HW: Bool[Tensor, "H W"], tolerance: float
) -> tuple[Int32[Tensor, " 3"], float]:
    """Return the border colour with most of the border near it, and that share of the border.

    Transparent border counts as background whatever its colour.
    """
    lab_P3, visible_P = _ring(lab_HW3), _ring(visible_HW)
    every = -(-len(lab_P3) // MAX_BORDER)
    lab_P3, visible_P = lab_P3[::every], visible_P[::every]
    near_PP = distance2(lab_P3[:, None], lab_P3[None]) <= squared(tolerance)
    votes_P = torch.where(visible_P, (near_PP & visible_P[None]).sum(dim=1), 0)
    most = int(votes_P.max())
    first = int((votes_P == most).nonzero()[0])
    return lab_P3[first], (most + int((~visible_P).sum())) / len(lab_P3)


def _ring(image: Tensor) -> Tensor:
    if min(image.shape[:2]) < 3:
        return image.flatten(0, 1)
    return torch.cat([image[0], image[-1], image[1:-1, 0], image[1:-1, -1]])
