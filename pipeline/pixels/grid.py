"""Finding the pixel grid of a picture that was drawn or enlarged big.

Cells of one colour have their edges at ``offset + k * period``. So the sum of colour steps over all
rows, as a function of the column, is a comb, and its Fourier transform at the frequency 1/period is
large: the *coherence*, 1 when all edges lie on the comb. Both axes vote on one period. The best few
frequencies are then tried on the picture itself: inside a cell of the right grid colour does not
change, on the same grid moved by half a cell it does. What is left of a photograph, a gradient or
noise after these two questions is called "not sure".

The chance that edges at random places reach a coherence is the Rayleigh test's (Mardia and Jupp,
Directional Statistics, 2000, section 6.3.1): exp(-n R^2) for n edges, times the number of
frequencies tried. Edges of unequal strength count as (sum w)^2 / sum w^2 equal ones.

Shape legend: B batch, H W height width, C channels; profiles: one number a border between pixels.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from pipeline.pixels.conf import GridConfig

Profile = np.ndarray[Any, np.dtype[np.float64]]

STEP_FLOOR = 8
"""Bytes. Smaller steps are no edges: compression leaves them in flat parts and at its blocks."""
NOISE_FACTOR = 2
"""Steps up to this many times the picture's median step are taken for noise inside cells."""
OVERSAMPLE = 8
NUM_CANDIDATES = 12
REFINE = np.linspace(-0.25, 0.25, 41)
"""Bins of the oversampled transform."""
LOW_FIRST = 0.25
"""How much of the highest frequency's power is taken off when candidates are ranked: a comb is as
coherent at twice its frequency, and the lowest of equals is the grid."""
EQUAL = 0.85
"""Coherences from here up, of the best, count as equal."""
HARMONIC = 0.03
"""How far the ratio of two frequencies may be from a whole number."""
PROBE_LINES = 128
"""Rows (columns) that are looked at when a candidate is tried, evenly over the picture."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """What was found in one picture."""

    period_px: float
    """Side of a cell."""
    offset_x_px: float
    """Left border of the first cell that begins inside the picture, in 0..period."""
    offset_y_px: float
    """Top border of that cell."""
    significance: float
    """Decades, see ``GridConfig.min_significance``."""
    contrast: float
    """0..1, see ``GridConfig.min_contrast``; may be below 0 where there is no grid."""
    sure: bool
    """Whether both gates were passed."""


@dataclass(frozen=True, slots=True)
class _Axis:
    """Edges along one axis: where, how strong, how many equal ones they stand for."""

    place: Profile
    weight: Profile
    count: float

    def transform(self, frequency: Profile) -> np.ndarray[Any, np.dtype[np.complex128]]:
        """Return the normalised transform at a few frequencies (cycles a pixel)."""
        waves = np.exp(-2j * np.pi * frequency[:, None] * self.place)
        summed: np.ndarray[Any, np.dtype[np.complex128]] = (waves * self.weight).sum(axis=1)
        return summed


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What one picture has to say: edges along both axes, and lines to try a grid on."""

    x: _Axis
    y: _Axis
    columns: tuple[Tensor, int]
    rows: tuple[Tensor, int]
    length: int
    """Longer side, pixels."""

    def power(self, frequency: Profile) -> Profile:
        """Return the Rayleigh statistic n R^2, both axes added, at a few frequencies."""
        total = np.zeros(len(frequency))
        for axis in (self.x, self.y):
            if axis.count:
                total += axis.count * np.abs(axis.transform(frequency)) ** 2
        return total


def find_grids(images_BHWC: UInt8[Tensor, "B H W C"], cfg: GridConfig) -> list[Grid | None]:
    """Find the grid of each picture; None where there is nothing to see (flat, or tiny).

    Deterministic; a picture's grid does not depend on the others of the batch.
    """
    # Planes: a step over three channels is then three long rows of bytes.
    seen_BCHW = premultiplied(images_BHWC).permute(0, 3, 1, 2).contiguous()
    columns, rows = (_profiles(seen_BCHW, dim=dim) for dim in (3, 2))
    return [
        _find(seen, _edges(column), _edges(row), cfg)
        for seen, column, row in zip(seen_BCHW, columns, rows, strict=True)
    ]


def premultiplied(images_BHWC: UInt8[Tensor, "B H W C"]) -> UInt8[Tensor, "B H W C"]:
    """Multiply colour by alpha, so that hidden colours make no edges."""
    if images_BHWC.shape[-1] == 3 or bool((images_BHWC[..., 3] == 255).all()):
        return images_BHWC
    alpha_BHW1 = images_BHWC[..., 3:].to(torch.int32)
    colour_BHWC = images_BHWC[..., :3].to(torch.int32) * alpha_BHW1 // 255
    return torch.cat([colour_BHWC.to(torch.uint8), images_BHWC[..., 3:]], dim=-1)


def steps(left: Tensor, right: Tensor) -> Tensor:
    """Return the largest step of any channel, bytes; the channel is the last axis but two."""
    away = torch.maximum(left, right) - torch.minimum(left, right)
    largest = away.select(-3, 0)
    for channel in range(1, away.shape[-3]):
        largest = torch.maximum(largest, away.select(-3, channel))
    return largest


def _profiles(images_BCHW: UInt8[Tensor, "B C H W"], *, dim: int) -> Profile:
    size = images_BCHW.shape[dim]
    step = steps(images_BCHW.narrow(dim, 1, size - 1), images_BCHW.narrow(dim, 0, size - 1))
    edge = step.clamp(min=STEP_FLOOR) - STEP_FLOOR
    summed: Profile = edge.sum(dim=4 - dim, dtype=torch.int32).cpu().numpy().astype(np.float64)
    return summed


def _edges(profile: Profile) -> _Axis:
    """Take away what noise puts everywhere; even out strong and weak edges."""
    weight = np.sqrt(np.maximum(profile - np.median(profile), 0.0)) if len(profile) else profile
    total, squares = weight.sum(), (weight * weight).sum()
    if total == 0:
        return _Axis(np.zeros(0), np.zeros(0), 0.0)
    return _Axis(np.arange(1.0, len(profile) + 1.0), weight / total, float(total * total / squares))


def _find(image_CHW: Tensor, x: _Axis, y: _Axis, cfg: GridConfig) -> Grid | None:
    length = max(image_CHW.shape[1:])
    if x.count + y.count == 0 or length / cfg.min_cells <= cfg.period_min_px:
        return None
    seen = _Evidence(x, y, _probe(image_CHW.transpose(1, 2)), _probe(image_CHW), length)
    tried = []
    for frequency in sorted(_candidates(seen, cfg)):
        grid, coherence = _measure(seen, frequency, cfg)
        tried.append((coherence, grid))
    if not tried:
        return None
    best_coherence, best = max(tried, key=lambda pair: pair[0] * max(pair[1].contrast, 0.0))
    for coherence, grid in tried:
        times = grid.period_px / best.period_px
        # By coherence alone: block borders of a compressed photograph are edges of a fine comb too,
        # and only the coarse one they are as well shows that blocks are not of one colour.
        if coherence >= EQUAL * best_coherence and abs(times - round(times)) <= HARMONIC:
            best = grid
            break
    near = 1 / best.period_px + REFINE / _points(length)
    return _measure(seen, float(near[int(seen.power(near).argmax())]), cfg)[0]


def _points(length: int) -> int:
    """Return the size of the oversampled transform."""
    return OVERSAMPLE * (1 << (length - 1).bit_length())


def _probe(image_CHW: Tensor) -> tuple[Tensor, int]:
    """Return lines along the second axis, fewer across, and the step that noise makes."""
    every = max(1, image_CHW.shape[2] // PROBE_LINES)
    lines_CHW = image_CHW[:, :, ::every].contiguous()
    noise = 0
    if lines_CHW.shape[1] > 1:
        noise = int(steps(lines_CHW[:, 1:], lines_CHW[:, :-1]).flatten().median())
    return lines_CHW, NOISE_FACTOR * noise


def _candidates(seen: _Evidence, cfg: GridConfig) -> list[float]:
    """Return the frequencies of the highest peaks of the coherence."""
    points = _points(seen.length)
    power = np.zeros(points // 2 + 1)
    for axis in (seen.x, seen.y):
        if axis.count:
            padded = np.zeros(points)
            padded[1 : len(axis.weight) + 1] = axis.weight
            power += axis.count * np.abs(np.fft.rfft(padded)) ** 2
    low = math.ceil(points * cfg.min_cells / seen.length)
    high = min(math.floor(points / cfg.period_min_px), len(power) - 1)
    inside = power[low : high + 1]
    padded = np.pad(inside, 1, constant_values=-1.0)
    peaks = np.flatnonzero((inside >= padded[:-2]) & (inside > padded[2:]))
    rank = inside[peaks] * (1 - LOW_FIRST * (low + peaks) / high)
    tallest = peaks[np.argsort(-rank, kind="stable")][:NUM_CANDIDATES]
    return [(low + float(peak) + _vertex(padded[peak : peak + 3])) / points for peak in tallest]


def _vertex(power: Profile) -> float:
    """Return where the parabola through three equally spaced values peaks, from the middle one."""
    before, middle, after = (float(value) for value in power)
    bend = before - 2 * middle + after
    if before < 0 or after < 0 or bend >= 0:
        return 0.0
    return 0.5 * (before - after) / bend


def _measure(seen: _Evidence, frequency: float, cfg: GridConfig) -> tuple[Grid, float]:
    """Return the grid of one frequency, offsets from the transform's phase, and its coherence."""
    period = 1 / frequency
    at = np.array([frequency])
    offsets = []
    for axis in (seen.x, seen.y):
        angle = float(np.angle(axis.transform(at)[0])) if axis.count else 0.0
        offsets.append((-angle / (2 * math.pi) * period) % period)
    power = float(seen.power(at)[0])
    chance = power - math.log(seen.length / 2) - math.log1p(power)
    significance = max(0.0, chance / math.log(10))
    on, off = (
        sum(
            _change_inside(probe, period=period, offset=offset + shift * period)
            for probe, offset in zip((seen.columns, seen.rows), offsets, strict=True)
        )
        for shift in (0.0, 0.5)
    )
    contrast = 1.0 - on / off if off > 0 else 0.0
    grid = Grid(
        period_px=period,
        offset_x_px=offsets[0],
        offset_y_px=offsets[1],
        significance=significance,
        contrast=contrast,
        sure=significance >= cfg.min_significance and contrast >= cfg.min_contrast,
    )
    return grid, power / (seen.x.count + seen.y.count)


def _change_inside(probe: tuple[Tensor, int], *, period: float, offset: float) -> float:
    """Return the mean step, above noise, between two pixels half a cell apart around its middle."""
    lines_CHW, noise = probe
    size = lines_CHW.shape[1]
    reach = max(0.25 * period, 0.5)
    middle = np.arange(offset % period - period / 2, size, period)
    above, below = (np.floor(middle + shift).astype(np.int64) for shift in (-reach, reach))
    inside = (above >= 0) & (below < size)
    if not inside.any():
        return 0.0
    taps = [
        lines_CHW[:, torch.from_numpy(side[inside]).to(lines_CHW.device)] for side in (above, below)
    ]
    step = steps(taps[0], taps[1]).to(torch.int32)
    return float((step - noise).clamp(min=0).sum(dtype=torch.int64)) / step.numel()
