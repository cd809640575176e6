"""Sprite sheets: one image, many cells."""

import json
from pathlib import Path

import numpy as np

from pipeline.core.errors import InputError
from pipeline.data.captions import caption_of
from pipeline.data.conf import SourceConfig
from pipeline.data.sources.art import Art, Found, Pixels, Rejected, Unusable, read_pixels
from pipeline.data.sources.folder import walk


def read_sheets(cfg: SourceConfig, *, max_px: int) -> Found:
    """Yield the cells of one sheet, or of every sheet of a folder, row by row; empty cells not.

    Names of cells come from ``<sheet>.json``, a list in reading order, where it stands.

    Raises:
        InputError: ``cfg.path`` does not exist.
    """
    if cfg.path is None or not cfg.path.exists():
        raise InputError(f"source.path: {cfg.path} does not exist; it names a sheet or a folder")
    root = cfg.path.parent if cfg.path.is_file() else cfg.path
    for file in [cfg.path] if cfg.path.is_file() else walk(root):
        name = file.relative_to(root).as_posix()
        try:
            pixels = read_pixels(file, max_px=max_px)
            names = _names(file)
        except Unusable as error:
            yield Rejected(name=name, reason=str(error))
            continue
        yield from _cells(name, pixels, cfg, names=names)


def _cells(sheet: str, pixels: Pixels, cfg: SourceConfig, *, names: list[str]) -> Found:
    side, step = cfg.cell_px, cfg.cell_px + cfg.spacing_px
    inner = [n - 2 * cfg.margin_px + cfg.spacing_px for n in pixels.shape[:2]]
    if any(n < step or n % step for n in inner):
        height, width = pixels.shape[:2]
        yield Rejected(
            name=sheet,
            reason=f"{width}x{height} is not whole cells of {side} with margin {cfg.margin_px} "
            f"and spacing {cfg.spacing_px}",
        )
        return
    rows, columns = (n // step for n in inner)
    stem = sheet.removesuffix(Path(sheet).suffix)
    common = caption_of(Path(sheet).stem) or cfg.caption
    for number in range(rows * columns):
        row, column = divmod(number, columns)
        top, left = cfg.margin_px + row * step, cfg.margin_px + column * step
        cell = np.ascontiguousarray(pixels[top : top + side, left : left + side])
        if not cell[..., 3].any():
            continue
        told = names[number] if number < len(names) else ""
        name = f"{stem}/r{row:03d}_c{column:03d}"
        if not (told or common):
            yield Rejected(name=name, reason=f"no caption: no {stem}.json, no word in its name")
            continue
        yield Art(
            name=name,
            pixels=cell,
            caption=told or common,
            licence=cfg.licence,
            attribution=cfg.attribution,
            source=sheet,
            group=f"{stem}/{told}" if told else f"{stem}/row {row}",
        )


def _names(file: Path) -> list[str]:
    record = file.with_suffix(".json")
    if not record.is_file():
        return []
    try:
        told = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Unusable(f"{record.name}: {error}") from None
    if not isinstance(told, list):
        raise Unusable(f"{record.name}: expected a list of names, found {type(told).__name__}")
    return [str(name) for name in told]
