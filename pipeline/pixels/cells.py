"""From the pixels of each grid cell to one native pixel.

Each cell is looked at on a lattice of up to 7 x 7 places in its middle, whatever its size, so cost
depends on native pixels alone.

Shape legend: K L cells down and across, S places of a cell, C channels.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from pipeline.pixels.conf import CellColour, GridConfig
from pipeline.pixels.grid import Grid
from pipeline.pixels.oklab import squared, to_oklab

MAX_PLACES = 7
"""Along one side of a cell."""
NEAR = 0.12
"""OKLab. Votes within this of each other are for the same colour."""
NEAR_ALPHA = 32
"""Bytes. The same for alpha."""
HALF = 0.5
"""A cell cut off by the picture's border counts from this share up."""
NUM_MEANS = 4
"""Rounds of two-means; cells have two colours at most, so it settles in one or two."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cells:
    """A picture reduced to its cells."""

    pixels_KLC: UInt8[Tensor, "K L C"]
    """One native pixel a cell."""
    coherent: float
    """Share of places looked at that are near their cell's colour."""
    first_x: int
    """Cells to the left of the grid's offset: 0, or 1 where a cut-off cell was kept."""
    first_y: int
    """The same above it."""


def sample_cells(
    image_HWC: UInt8[Tensor, "H W C"],
    grid: Grid,
    cfg: GridConfig,
    *,
    native_size_px: int | None,
) -> Cells:
    """Reduce a picture to one pixel a cell.

    Cells cut off by the border are kept when half of them or more is there. With a native size,
    the window of that many cells that holds most of the picture is kept instead.
    """
    height, width = image_HWC.shape[:2]
    down = _Axis(period=grid.period_px, offset=grid.offset_y_px, size=height)
    across = _Axis(period=grid.period_px, offset=grid.offset_x_px, size=width)
    (first_y, rows), (first_x, columns) = down.span(native_size_px), across.span(native_size_px)
    y_KS = down.places(first_y, rows, cfg.interior)
    x_LS = across.places(first_x, columns, cfg.interior)
    device = image_HWC.device
    taken = image_HWC[y_KS.to(device).flatten()][:, x_LS.to(device).flatten()]
    channels = image_HWC.shape[2]
    votes_KLSC = (
        taken.reshape(rows, y_KS.shape[1], columns, x_LS.shape[1], channels)
        .transpose(1, 2)
        .reshape(rows, columns, -1, channels)
    )
    lab_KLSC = to_oklab(votes_KLSC[..., :3])
    pixels_KLC = _elect(votes_KLSC, lab_KLSC, cfg.colour)
    away_KLS = _distance2(lab_KLSC, to_oklab(pixels_KLC[..., :3]).unsqueeze(2))
    coherent_KLS = away_KLS <= squared(cfg.coherent_step)
    if channels == 4:
        visible_KLS = votes_KLSC[..., 3] >= 128
        same_KLS = visible_KLS == (pixels_KLC[..., 3:] >= 128)
        coherent_KLS = same_KLS & (coherent_KLS | ~visible_KLS)
    return Cells(
        pixels_KLC=pixels_KLC,
        coherent=int(coherent_KLS.sum()) / coherent_KLS.numel(),
        first_x=-first_x,
        first_y=-first_y,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Axis:
    """The grid along one axis of one picture."""

    period: float
    offset: float
    size: int

    def span(self, native: int | None) -> tuple[int, int]:
        """Return the number of the first cell that is kept, 0 at the offset, and how many are."""
        low = math.floor(-self.offset / self.period)
        share = [self._share(low + number) for number in range(self._count(low))]
        kept = [number for number, part in enumerate(share) if part >= HALF]
        # Only a cut-off cell at the border is in doubt; more than that is another native size.
        if native is None or abs(len(kept) - native) > 1 or len(share) < native:
            return low + kept[0], len(kept)
        starts = range(len(share) - native + 1)
        best = max(starts, key=lambda start: sum(share[start : start + native]))
        return low + best, native

    def places(self, first: int, count: int, interior: float) -> Int64[Tensor, "K S"]:
        """Return the pixels of each cell that vote."""
        num = max(1, min(MAX_PLACES, math.ceil(self.period * interior)))
        reach = 0.5 * self.period * interior * (num - 1) / num
        middle = self.offset + (np.arange(first, first + count) + 0.5) * self.period
        shift = np.linspace(-reach, reach, num) if num > 1 else np.zeros(1)
        place = np.floor(middle[:, None] + shift[None]).clip(0, self.size - 1)
        return torch.from_numpy(place.astype(np.int64))

    def _count(self, low: int) -> int:
        return math.ceil((self.size - self.offset) / self.period) - low

    def _share(self, cell: int) -> float:
        """Return how much of a cell lies inside the picture, 0..1."""
        begin = self.offset + cell * self.period
        return (min(begin + self.period, self.size) - max(begin, 0.0)) / self.period


def _distance2(left: Tensor, right: Tensor) -> Tensor:
    difference = left - right
    return (difference * difference).sum(dim=-1, dtype=torch.int32)


def _elect(votes_KLSC: Tensor, lab_KLSC: Tensor, how: CellColour) -> UInt8[Tensor, "K L C"]:
    every_KLS = torch.ones(votes_KLSC.shape[:3], dtype=torch.bool, device=votes_KLSC.device)
    match how:
        case CellColour.median:
            return _median(votes_KLSC, every_KLS)
        case CellColour.majority:
            return _median(votes_KLSC, _majority(votes_KLSC, lab_KLSC))
        case CellColour.k_centroid:
            return _mean(votes_KLSC, _larger_half(lab_KLSC))


def _majority(votes_KLSC: Tensor, lab_KLSC: Tensor) -> Tensor:
    """Mark the votes near the one that has most others near it, the first of equals."""
    num = votes_KLSC.shape[2]
    best_KL = torch.zeros(votes_KLSC.shape[:2], dtype=torch.int32, device=votes_KLSC.device)
    party_KLS = torch.ones(votes_KLSC.shape[:3], dtype=torch.bool, device=votes_KLSC.device)
    limit = squared(NEAR)
    settled = _distance2(lab_KLSC, lab_KLSC[:, :, :1]) == 0
    if bool(settled.all()):
        return party_KLS
    for vote in range(num):
        near_KLS = _distance2(lab_KLSC, lab_KLSC[:, :, vote : vote + 1]) <= limit
        if votes_KLSC.shape[-1] == 4:
            alpha_KLS = votes_KLSC[..., 3].to(torch.int32)
            near_KLS &= (alpha_KLS - alpha_KLS[..., vote : vote + 1]).abs() <= NEAR_ALPHA
        count_KL = near_KLS.sum(dim=2, dtype=torch.int32)
        better_KL = count_KL > best_KL
        best_KL = torch.where(better_KL, count_KL, best_KL)
        party_KLS = torch.where(better_KL[..., None], near_KLS, party_KLS)
    return party_KLS


def _median(votes_KLSC: Tensor, who_KLS: Tensor) -> UInt8[Tensor, "K L C"]:
    """Return the lower median of each channel over the marked votes."""
    beyond = 256
    ranked = votes_KLSC.to(torch.int16).masked_fill(~who_KLS[..., None], beyond).sort(dim=2).values
    middle_KL = (who_KLS.sum(dim=2) - 1) // 2
    index = middle_KL[..., None, None].expand(-1, -1, 1, votes_KLSC.shape[-1])
    return ranked.gather(2, index).squeeze(2).to(torch.uint8)


def _mean(votes_KLSC: Tensor, who_KLS: Tensor) -> UInt8[Tensor, "K L C"]:
    weight = who_KLS[..., None].to(torch.int64)
    count = weight.sum(dim=2)
    total = (votes_KLSC.to(torch.int64) * weight).sum(dim=2)
    return ((2 * total + count) // (2 * count)).to(torch.uint8)


def _larger_half(lab_KLSC: Tensor) -> Tensor:
    """Mark the larger of two clusters, begun at the darkest and the lightest vote."""
    lab = lab_KLSC.to(torch.int64)
    light_KLS = lab[..., 0]
    centres = [
        lab.gather(2, pick[..., None, None].expand(-1, -1, 1, 3))
        for pick in (_first(light_KLS, -1), _first(light_KLS, 1))
    ]
    second_KLS = torch.zeros(light_KLS.shape, dtype=torch.bool, device=lab.device)
    for _ in range(NUM_MEANS):
        away = [((lab - centre) ** 2).sum(dim=-1) for centre in centres]
        second_KLS = away[1] < away[0]
        for number, who in enumerate((~second_KLS, second_KLS)):
            weight = who[..., None].to(torch.int64)
            count = weight.sum(dim=2, keepdim=True)
            mean = (lab * weight).sum(dim=2, keepdim=True) // count.clamp(min=1)
            centres[number] = torch.where(count > 0, mean, centres[number])
    more_KL1 = 2 * second_KLS.sum(dim=2, keepdim=True) > second_KLS.shape[2]
    return torch.where(more_KL1, second_KLS, ~second_KLS)


def _first(value_KLS: Tensor, sign: int) -> Int64[Tensor, "K L"]:
    """Return the index of the largest (sign 1) or smallest value, the first of equals."""
    num = value_KLS.shape[2]
    key = sign * value_KLS * num - torch.arange(num, device=value_KLS.device)
    return key.argmax(dim=2)
