"""Native pixels back from an enlarged picture that was blurred, noised or compressed.

The finishing does it (grid, cell colours, palette, hard alpha, clean-up). Here is what restoring
needs beside it: whether to believe the result, and two recoveries that share no pixel of the
picture. A change to the native pixels is for the better when one recovery, changed, comes nearer to
the *other* one: noise is not the same in both, so what merely follows the noise does not gain by it
(cross-validation; the idea of Batson and Royer, "Noise2Self", ICML 2019, arXiv 1901.11365).

Shape legend: H W of the picture, K L native pixels down and across, C channels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8

from pipeline.pixels.cells import sample_cells
from pipeline.pixels.chain import Finisher
from pipeline.pixels.conf import (
    BackgroundConfig,
    CleanupConfig,
    FinishConfig,
    GridConfig,
    PaletteConfig,
    PaletteName,
)
from pipeline.pixels.grid import Grid
from pipeline.pixels.oklab import Bytes

INTERIOR = 0.75
"""Share of a cell's side that votes: more than finishing takes, since noise averages out and what a
blur of a pixel spoils is outvoted (bench.restore: lower error than 0.5 and 1.0 over all damage)."""
MIN_PERIOD_PX = 4.0
"""Smaller cells have too few pixels in their middle to be halved."""
NUM_COLOURS = (6, 8, 12, 16, 24, 32, 48, 64)
"""Sizes of palette that are tried."""
PATIENCE = 2
"""Sizes in a row that may be worse than the best before the rest is not tried."""

Native = UInt8[np.ndarray, "K L _"]


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class Candidate:
    """Recovered pixels that something may change for the better."""

    native_KLC: Bytes
    """RGB or straight RGBA."""
    halves: tuple[Bytes, Bytes] | None
    """Of ``half_recoveries``; None: there is no measuring."""
    caption: str
    """What it shows; "" where nobody knows."""


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class Cleaned:
    """What became of a candidate."""

    native_KLC: Bytes
    """Changed, or as it was."""
    proposed_KLC: Bytes
    """The change, kept or not."""
    kept: bool
    """Whether it was measured, and better."""


CleanUp = Callable[[Sequence[Candidate]], list[Cleaned]]


@dataclass(kw_only=True, slots=True)
class RestoreConfig:
    """What to do beside finding the grid."""

    native_size_px: int | None = None
    """Pixels. Longer side of the native picture, where it is known."""
    palette: PaletteConfig = field(default_factory=PaletteConfig)
    """Colours to reduce to."""
    auto_palette: bool = False
    """Cluster into as many colours as the picture has by the evidence of its halves."""
    background: bool = False
    """Make a plain background transparent."""
    cleanup: bool = False
    """Remove lone pixels."""

    def __post_init__(self) -> None:
        if self.native_size_px is not None and self.native_size_px < 2:
            raise ValueError(f"native_size_px: {self.native_size_px} is below 2")
        if self.auto_palette and self.palette.name is not PaletteName.none:
            raise ValueError(f"palette: {self.palette.name.value} beside auto; choose one")


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class Restored:
    """One picture's native pixels, or the news that there is no telling."""

    native_KLC: Bytes | None
    """None: not sure."""
    why: str
    """Why not sure, empty when sure."""
    record: dict[str, Any]
    """What the steps did, as ``Finished.record``, and ``denoised``."""


class Restorer:
    """Recovers native pixels of pictures, each for itself. The same bytes again from the same.

    Args:
        cfg: What to do.
        clean_up: Changes colours before they are reduced, such as ``Denoiser.clean_up``.

    Raises:
        InputError: The palette's file or folder is not usable.
    """

    def __init__(self, cfg: RestoreConfig, *, clean_up: CleanUp | None = None) -> None:
        self.cfg, self.clean_up = cfg, clean_up
        self.grid = GridConfig(enabled=True, interior=INTERIOR)
        background = BackgroundConfig(enabled=cfg.background)
        self.recover = Finisher(
            FinishConfig(grid=self.grid, background=background), native_size_px=cfg.native_size_px
        )
        self.recolour = self._colours(cfg.palette)

    def __call__(
        self, images: Sequence[Bytes], captions: Sequence[str] | None = None
    ) -> list[Restored]:
        """Restore pictures, RGB or straight RGBA, of any sizes."""
        captions = [""] * len(images) if captions is None else captions
        found = [self._recover(image) for image in images]
        sure = [i for i, one in enumerate(found) if one.native_KLC is not None]
        candidates = [self._candidate(images[i], found[i], captions[i]) for i in sure]
        if self.clean_up is not None:
            for i, cleaned in zip(sure, self.clean_up(candidates), strict=True):
                record = found[i].record | {"denoised": cleaned.kept}
                found[i] = Restored(native_KLC=cleaned.native_KLC, why="", record=record)
        for i, candidate in zip(sure, candidates, strict=True):
            found[i] = self._finish(found[i], candidate.halves)
        return found

    def _recover(self, image_HWC: Bytes) -> Restored:
        (done,) = self.recover(image_HWC[None])
        side, wanted = max(done.pixels.shape[:2]), self.cfg.native_size_px
        why = ""
        if not done.record["grid"]["sure"]:
            why = "no pixel grid was found"
        elif wanted is not None and side != wanted:
            why = f"its grid has {side} cells along the longer side, not {wanted}"
        return Restored(native_KLC=None if why else done.pixels, why=why, record=done.record)

    def _candidate(self, image_HWC: Bytes, one: Restored, caption: str) -> Candidate:
        assert one.native_KLC is not None, "sure"
        halves = None
        if self.clean_up is not None or self.cfg.auto_palette:
            size_px = self.cfg.native_size_px
            halves = half_recoveries(image_HWC, one.record, self.grid, native_size_px=size_px)
        return Candidate(native_KLC=one.native_KLC, halves=halves, caption=caption)

    def _finish(self, one: Restored, halves: tuple[Bytes, Bytes] | None) -> Restored:
        assert one.native_KLC is not None, "sure"
        finisher = self.recolour
        if self.cfg.auto_palette:
            num_colours = choose_num_colours(halves) if halves else None
            if num_colours is not None:
                palette = PaletteConfig(name=PaletteName.kmeans, num_colours=num_colours)
                finisher = self._colours(palette)
        (done,) = finisher(one.native_KLC[None])
        # The first verdict is of a picture without its colours reduced.
        return Restored(native_KLC=done.pixels, why="", record=one.record | done.record)

    def _colours(self, palette: PaletteConfig) -> Finisher:
        cleanup = CleanupConfig(orphans=self.cfg.cleanup)
        return Finisher(FinishConfig(palette=palette, cleanup=cleanup), native_size_px=None)


def half_recoveries(
    image_HWC: UInt8[np.ndarray, "H W C"],
    record: dict[str, Any],
    cfg: GridConfig,
    *,
    native_size_px: int | None,
) -> tuple[Native, Native] | None:
    """Recover twice, once from even and once from odd columns of the picture.

    Returns:
        Two pictures of cell colours, no other finishing; None where no grid was found (the picture
        was native) or its cells are smaller than ``MIN_PERIOD_PX``.
    """
    told = record["grid"]
    if told["found"] != "grid" or told["period_px"] < MIN_PERIOD_PX:
        return None
    grid = Grid(
        period_px=told["period_px"],
        offset_x_px=told["offset_x_px"],
        offset_y_px=told["offset_y_px"],
        significance=told["significance"],
        contrast=told["contrast"],
        sure=True,
    )
    width = image_HWC.shape[1]
    even = np.arange(width) // 2 * 2
    halves = [
        sample_cells(
            torch.from_numpy(np.ascontiguousarray(image_HWC[:, columns])),
            grid,
            cfg,
            native_size_px=native_size_px,
        ).pixels_KLC.numpy()
        for columns in (even, np.minimum(even + 1, width - 1))
    ]
    return halves[0], halves[1]


def is_better(changed_KLC: Native, kept_KLC: Native, other_KLC: Native) -> bool:
    """Whether a changed half is nearer to the other half than it was before, in RGB.

    Args:
        changed_KLC: One half after the change.
        kept_KLC: The same half before it; where it has alpha, only its visible pixels count.
        other_KLC: The other half.
    """
    seen_KL = kept_KLC[..., 3] > 0 if kept_KLC.shape[2] == 4 else np.ones(kept_KLC.shape[:2], bool)
    target = other_KLC[seen_KL][:, :3].astype(np.float64)
    before, after = (
        float(np.square(side[seen_KL][:, :3] - target).sum()) for side in (kept_KLC, changed_KLC)
    )
    return after < before


def choose_num_colours(halves: tuple[Native, Native], *, seed: int = 0) -> int | None:
    """Return how many colours a picture has by the evidence of its halves; None: leave them.

    Clusters of one half that are real are in the other half too, and their means lie nearer to it
    than single noisy cells do; too few clusters, and they lie farther. Where both halves are wrong
    alike, as after JPEG alone, nothing is gained and the colours stay.
    """
    best, chosen, worse = _apart(halves, halves), None, 0
    for num_colours in NUM_COLOURS:
        palette = PaletteConfig(name=PaletteName.kmeans, num_colours=num_colours, seed=seed)
        reduce = Finisher(FinishConfig(palette=palette), native_size_px=None)
        reduced = [reduce(half[None])[0].pixels for half in halves]
        apart = _apart((reduced[0], reduced[1]), halves)
        if apart < best:
            best, chosen, worse = apart, num_colours, 0
        elif chosen is not None:
            worse += 1
        if worse == PATIENCE:
            break
    return chosen


def _apart(changed: tuple[Native, Native], halves: tuple[Native, Native]) -> float:
    """Return the squared error of each changed half against the other half as it was."""
    pairs = zip(changed, reversed(halves), strict=True)
    return sum(float(np.square(a.astype(np.float64) - b).sum()) for a, b in pairs)
