"""The steps in their order: from pictures as a model draws them to sprites that are pixel-exact.

grid -> background -> hard alpha -> palette (with dither) -> clean-up -> seams -> verdict
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from pipeline.core.errors import InputError
from pipeline.pixels.alpha import harden, remove_background
from pipeline.pixels.cells import sample_cells
from pipeline.pixels.cleanup import remove_orphans, thin_outlines
from pipeline.pixels.conf import FinishConfig, PaletteName
from pipeline.pixels.dither import dither
from pipeline.pixels.grid import Grid, find_grids
from pipeline.pixels.oklab import Bytes
from pipeline.pixels.palettes import Palette, image_palette, load_palette, palette_told
from pipeline.pixels.recipe import FORMAT, from_options, options
from pipeline.pixels.seams import repair_seams, seam_scores
from pipeline.pixels.verdict import judge

DIGITS = 4
"""Decimals of figures in a record: fewer than could differ between two kinds of hardware."""


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class Finished:
    """One finished image."""

    pixels: Bytes
    """HWC: RGB when RGB came in and nothing could become transparent, else straight RGBA."""
    record: dict[str, Any]
    """What each step that is on did, as JSON, and ``verdict``."""


@dataclass(eq=False, slots=True)
class _Work:
    """An image on its way through the steps."""

    pixels_HWC: Tensor
    record: dict[str, Any]


class Finisher:
    """Applies one finishing to any number of batches.

    An image's result depends on the image and the options alone, except with a palette locked over
    the batch. The same bytes again from the same bytes.

    Args:
        cfg: The steps.
        native_size_px: Side of a finished image, when it is known. A picture that has it is native
            and no grid is sought; a verdict asks for it.
        device: ``cpu`` or ``cuda:<index>``.
        palette: Instead of the one ``cfg.palette`` would load; for ``from_recipe``.

    Raises:
        InputError: The palette's file or folder is not usable.
    """

    def __init__(
        self,
        cfg: FinishConfig,
        *,
        native_size_px: int | None,
        device: str = "cpu",
        palette: Palette | None = None,
    ) -> None:
        self.cfg = cfg
        self.native_size_px = native_size_px
        self.device = device
        self.palette = load_palette(cfg.palette) if palette is None else palette

    @classmethod
    def from_recipe(cls, recipe: dict[str, Any], *, device: str = "cpu") -> "Finisher":
        """Return the finisher whose ``recipe`` this is; palette files are not needed any more.

        Raises:
            InputError: The recipe is of another format, not whole, or its digest does not fit.
        """
        if recipe.get("format") != FORMAT:
            raise InputError(f"format: {recipe.get('format')!r} is not {FORMAT!r}")
        return cls(
            from_options(recipe["options"]),
            native_size_px=recipe["native_size_px"],
            device=device,
            palette=palette_told(recipe["palette"]) if recipe["palette"] else None,
        )

    @torch.inference_mode()
    def __call__(self, images_BHWC: UInt8[np.ndarray, "B H W C"]) -> list[Finished]:
        """Finish a batch of RGB or straight RGBA pictures of one size."""
        channels = images_BHWC.shape[3]
        if channels not in {3, 4}:
            raise ValueError(f"images have {channels} channels; 3 (RGB) or 4 (RGBA) are allowed")
        pixels_BHWC = torch.from_numpy(np.array(images_BHWC)).to(self.device)
        if channels == 3:
            opaque = torch.full_like(pixels_BHWC[..., :1], 255)
            pixels_BHWC = torch.cat([pixels_BHWC, opaque], dim=-1)
        work = [_Work(pixels, {}) for pixels in pixels_BHWC]
        self._to_native(work)
        self._in_groups(work, self._cut_out)
        self._recolour(work)
        self._in_groups(work, self._clean)
        self._in_groups(work, self._mend)
        keep = 3 if channels == 3 and not self.cfg.background.enabled else 4
        return [self._finished(one, keep) for one in work]

    def recipe(self) -> dict[str, Any]:
        """Return the finishing as JSON: all it takes to do the same again, see ``recipe.py``."""
        return {
            "format": FORMAT,
            "options": options(self.cfg),
            "native_size_px": self.native_size_px,
            "palette": None if self.palette is None else self.palette.told(colours=True),
        }

    def _to_native(self, work: Sequence[_Work]) -> None:
        if not self.cfg.grid.enabled or not work:
            return
        height, width = work[0].pixels_HWC.shape[:2]
        if height == width == self.native_size_px:
            for one in work:
                one.record["grid"] = {"found": "native", "sure": True, "coherent": 1.0}
            return
        grids = find_grids(
            torch.stack([one.pixels_HWC for one in work]),
            self.cfg.grid,
            native_size_px=self.native_size_px,
        )
        for one, grid in zip(work, grids, strict=True):
            self._reduce(one, grid)

    def _reduce(self, one: _Work, grid: Grid | None) -> None:
        told: dict[str, Any] = {"found": "not sure", "sure": False, "coherent": 0.0}
        if grid is not None:
            told |= {
                "period_px": round(grid.period_px, DIGITS),
                "offset_x_px": round(grid.offset_x_px, DIGITS),
                "offset_y_px": round(grid.offset_y_px, DIGITS),
                "significance": round(grid.significance, 2),
                "contrast": round(grid.contrast, DIGITS),
            }
        if grid is not None and grid.sure:
            cells = sample_cells(
                one.pixels_HWC, grid, self.cfg.grid, native_size_px=self.native_size_px
            )
            one.pixels_HWC = cells.pixels_KLC
            told |= {"found": "grid", "sure": True, "coherent": round(cells.coherent, DIGITS)}
        one.record["grid"] = told

    def _cut_out(self, batch: Tensor, records: Sequence[dict[str, Any]]) -> Tensor:
        if self.cfg.background.enabled:
            batch, found = remove_background(batch, self.cfg.background)
            for record, one in zip(records, found, strict=True):
                record["background"] = {
                    "found": "background" if one.sure else "not sure",
                    "border_share": round(one.border_share, DIGITS),
                    "removed_px": one.removed_px,
                }
        if self.cfg.alpha.enabled:
            before, batch = batch, harden(batch, threshold=self.cfg.alpha.threshold)
            for record, changed in zip(records, _changed(before, batch), strict=True):
                record["alpha"] = {"changed_px": changed}
        return batch

    def _recolour(self, work: Sequence[_Work]) -> None:
        if self.cfg.palette.name is PaletteName.none:
            return
        palette = self.palette
        if palette is None and self.cfg.palette.lock:
            palette = image_palette([_array(one.pixels_HWC) for one in work], self.cfg.palette)
        if palette is not None:
            self._in_groups(work, lambda batch, records: self._dither(batch, records, palette))
            return
        for one in work:
            own = image_palette([_array(one.pixels_HWC)], self.cfg.palette)
            if own is None:
                one.record["palette"] = {"name": "empty", "num_colours": 0, "changed_px": 0}
            else:
                one.pixels_HWC = self._dither(one.pixels_HWC[None], [one.record], own)[0]

    def _dither(self, batch: Tensor, records: Sequence[dict[str, Any]], palette: Palette) -> Tensor:
        before, batch = batch, dither(batch, palette, self.cfg.dither)
        for record, changed in zip(records, _changed(before, batch), strict=True):
            record["palette"] = palette.told(colours=self.cfg.palette.lock) | {
                "num_colours": len(palette.colours_K3),
                "dither": self.cfg.dither.name.value,
                "changed_px": changed,
            }
        return batch

    def _clean(self, batch: Tensor, records: Sequence[dict[str, Any]]) -> Tensor:
        steps = {"orphans": remove_orphans, "outline": thin_outlines}
        for name, step in steps.items():
            if getattr(self.cfg.cleanup, name):
                before, batch = batch, step(batch, self.cfg.cleanup)
                for record, changed in zip(records, _changed(before, batch), strict=True):
                    record.setdefault("cleanup", {})[f"{name}_px"] = changed
        return batch

    def _mend(self, batch: Tensor, records: Sequence[dict[str, Any]]) -> Tensor:
        if not (self.cfg.seams.check or self.cfg.seams.repair):
            return batch
        before, first = batch, seam_scores(batch)
        if self.cfg.seams.repair:
            batch = repair_seams(batch, self.cfg.seams)
        last, changed = seam_scores(batch), _changed(before, batch)
        for row, record in enumerate(records):
            record["seams"] = {
                "score_x": round(float(last[row, 0]), DIGITS),
                "score_y": round(float(last[row, 1]), DIGITS),
                "score_before_x": round(float(first[row, 0]), DIGITS),
                "score_before_y": round(float(first[row, 1]), DIGITS),
                "changed_px": changed[row],
            }
        return batch

    def _in_groups(
        self,
        work: Sequence[_Work],
        step: Callable[[Tensor, Sequence[dict[str, Any]]], Tensor],
    ) -> None:
        """Apply a step to all images of one size at once."""
        groups: dict[tuple[int, ...], list[_Work]] = {}
        for one in work:
            groups.setdefault(tuple(one.pixels_HWC.shape), []).append(one)
        for group in groups.values():
            stacked = torch.stack([one.pixels_HWC for one in group])
            for one, pixels in zip(
                group, step(stacked, [one.record for one in group]), strict=True
            ):
                one.pixels_HWC = pixels

    def _finished(self, one: _Work, channels: int) -> Finished:
        pixels = np.ascontiguousarray(_array(one.pixels_HWC)[..., :channels])
        verdict = judge(pixels, one.record, self.cfg, native_size_px=self.native_size_px)
        return Finished(pixels=pixels, record=one.record | {"verdict": verdict})


def _changed(before: Tensor, after: Tensor) -> list[int]:
    """Count the pixels of each image that a step changed."""
    counts: list[int] = (before != after).any(dim=-1).sum(dim=(1, 2)).tolist()
    return counts


def _array(pixels_HWC: Tensor) -> Bytes:
    array: Bytes = pixels_HWC.cpu().numpy()
    return array
