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

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from pipeline.pixels.conf import GridConfig
from pipeline.pixels.edges import Axis, Profile, edges, premultiplied, profiles, steps

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
BLOCK_PX = 8
"""Blocks of JPEG; halves and quarters of them show as well, and more where chroma is halved."""
BLOCK_EQUAL = 0.4
"""Coherence of the blocks, of the best, from which a finer grid is taken to be theirs."""
RIVAL = 0.6
"""Score, of the best, from which the grid of the known native size is preferred."""
AS_EXPECTED = 0.06
"""How far its period may be from what picture and native size say: cells are cut off at borders."""
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
class _Evidence:
    """What one picture has to say: edges along both axes, and lines to try a grid on."""

    x: Axis
    y: Axis
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


def find_grids(
    images_BHWC: UInt8[Tensor, "B H W C"], cfg: GridConfig, *, native_size_px: int | None = None
) -> list[Grid | None]:
    """Find the grid of each picture; None where there is nothing to see (flat, or tiny).

    Deterministic; a picture's grid does not depend on the others of the batch.

    Args:
        images_BHWC: RGB or straight RGBA.
        cfg: What to look for and how sure to be.
        native_size_px: Native side where it is known. It decides between grids that fit about as
            well (a brick wall looks much alike on 8 and on 7 cells a brick), and nothing else.
    """
    # Planes: a step over three channels is then three long rows of bytes.
    seen_BCHW = premultiplied(images_BHWC).permute(0, 3, 1, 2).contiguous()
    columns, rows = (profiles(seen_BCHW, dim=dim) for dim in (3, 2))
    return [
        _find(seen, edges(column), edges(row), cfg, native_size_px=native_size_px)
        for seen, column, row in zip(seen_BCHW, columns, rows, strict=True)
    ]


def _find(
    image_CHW: Tensor, x: Axis, y: Axis, cfg: GridConfig, *, native_size_px: int | None
) -> Grid | None:
    length = max(image_CHW.shape[1:])
    if x.count + y.count == 0 or length / cfg.min_cells <= cfg.period_min_px:
        return None
    seen = _Evidence(x, y, _probe(image_CHW.transpose(1, 2)), _probe(image_CHW), length)
    tried = []
    for frequency in sorted(_candidates(seen, cfg)):
        grid, coherence = _measure(seen, frequency, cfg, num_tried=length / 2)
        tried.append((coherence, grid))
    if not tried:
        return None
    expected = length / native_size_px if native_size_px else None
    best = _choose(tried, expected_px=expected)
    near = 1 / best.period_px + REFINE / _points(length)
    frequency = float(near[int(seen.power(near).argmax())])
    # A grid that was expected is one of few that were tried for.
    num_tried = length / 2
    if native_size_px and _is_expected(best, expected):
        num_tried = max(1.0, 2 * AS_EXPECTED * native_size_px)
    return _measure(seen, frequency, cfg, num_tried=num_tried)[0]


def _choose(tried: list[tuple[float, Grid]], *, expected_px: float | None) -> Grid:
    """Return the grid that explains most; ``tried`` are coherence and grid, large cells first."""
    scores = [coherence * max(grid.contrast, 0.0) for coherence, grid in tried]
    top = max(scores)
    for score, (_, grid) in zip(scores, tried, strict=True):
        if _is_expected(grid, expected_px) and score >= RIVAL * top:
            return grid
    best_coherence, best = tried[scores.index(top)]
    for coherence, grid in tried:
        times = grid.period_px / best.period_px
        # By coherence alone: block borders of a compressed photograph are edges of a fine comb too,
        # and only the coarse one they are as well shows that blocks are not of one colour.
        is_block = abs(grid.period_px - BLOCK_PX) <= HARMONIC
        enough = (BLOCK_EQUAL if is_block else EQUAL) * best_coherence
        if coherence >= enough and abs(times - round(times)) <= HARMONIC:
            return grid
    return best


def _is_expected(grid: Grid, expected_px: float | None) -> bool:
    return expected_px is not None and abs(grid.period_px / expected_px - 1) <= AS_EXPECTED


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


def _measure(
    seen: _Evidence, frequency: float, cfg: GridConfig, *, num_tried: float
) -> tuple[Grid, float]:
    """Return the grid of one frequency, offsets from the transform's phase, and its coherence."""
    period = 1 / frequency
    at = np.array([frequency])
    offsets = []
    for axis in (seen.x, seen.y):
        angle = float(np.angle(axis.transform(at)[0])) if axis.count else 0.0
        offsets.append((-angle / (2 * math.pi) * period) % period)
    power = float(seen.power(at)[0])
    chance = power - math.log(num_tried) - math.log1p(power)
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
