"""Sprites on pages, byte for byte: no resampling, no premultiplication, straight alpha.

Shape legend: H, W pixels; 4 is red, green, blue and straight alpha.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from pipeline.core.errors import InputError
from pipeline.core.picture import png_bytes
from pipeline.export.conf import ExportConfig
from pipeline.export.packing import Box, pack
from pipeline.export.records import Sprite


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """A sprite and where its kept pixels stand."""

    sprite: Sprite
    page: int
    x_px: int
    y_px: int
    """Top left pixel on the page, extrusion not counted."""
    width_px: int
    height_px: int
    """What is kept after trimming."""
    offset_x_px: int
    offset_y_px: int
    """What was trimmed off at the left and at the top."""

    @property
    def source_width_px(self) -> int:
        """Width before trimming."""
        return self.sprite.pixels_HWC.shape[1]

    @property
    def source_height_px(self) -> int:
        """Height before trimming."""
        return self.sprite.pixels_HWC.shape[0]

    @property
    def trimmed(self) -> bool:
        """Whether anything was cut off."""
        kept = (self.width_px, self.height_px)
        return kept != (self.source_width_px, self.source_height_px)

    @property
    def kept(self) -> UInt8[np.ndarray, "H W 4"]:
        """The pixels that are on the page."""
        rows = slice(self.offset_y_px, self.offset_y_px + self.height_px)
        columns = slice(self.offset_x_px, self.offset_x_px + self.width_px)
        return self.sprite.pixels_HWC[rows, columns]


@dataclass(frozen=True, kw_only=True, slots=True)
class Atlas:
    """All pages of one export."""

    boxes: list[Box]
    placed: list[Placed]
    """In the order of the sprites."""
    padding_px: int
    extrude_px: int

    def on_page(self, page: int) -> list[Placed]:
        """Return what stands on one page, in the order of the sprites."""
        return [item for item in self.placed if item.page == page]


def page_file(page: int) -> str:
    """Return a page's file name."""
    return f"atlas_{page}.png"


def build_atlas(sprites: Sequence[Sprite], cfg: ExportConfig) -> Atlas:
    """Decide where each sprite goes.

    Raises:
        InputError: A sprite with its extrusion is larger than a page; the message names it.
    """
    boxes_px = [_kept_box(sprite) if cfg.trim else _whole_box(sprite) for sprite in sprites]
    first_of = _first_of_its_kind(sprites, boxes_px) if cfg.dedupe else list(range(len(sprites)))
    unique = sorted(set(first_of))
    border = 2 * cfg.extrude_px
    sizes = [(boxes_px[i][2] + border, boxes_px[i][3] + border) for i in unique]
    for i, size in zip(unique, sizes, strict=True):
        if max(size) > cfg.size_px:
            raise InputError(
                f"{sprites[i].file}: {size[0]}x{size[1]} px with extrusion, "
                f"size_px is {cfg.size_px}"
            )
    packing = pack(
        sizes, max_px=cfg.size_px, padding_px=cfg.padding_px, pot=cfg.pot, edge_px=cfg.extrude_px
    )
    spots = dict(zip(unique, packing.spots, strict=True))
    placed = []
    for sprite, (left, top, width, height), first in zip(sprites, boxes_px, first_of, strict=True):
        spot = spots[first]
        placed.append(
            Placed(
                sprite=sprite,
                page=spot.page,
                x_px=spot.x_px + cfg.extrude_px,
                y_px=spot.y_px + cfg.extrude_px,
                width_px=width,
                height_px=height,
                offset_x_px=left,
                offset_y_px=top,
            )
        )
    return Atlas(
        boxes=packing.boxes,
        placed=placed,
        padding_px=cfg.padding_px,
        extrude_px=cfg.extrude_px,
    )


def page_pixels(atlas: Atlas, page: int) -> UInt8[np.ndarray, "H W 4"]:
    """Compose one page: kept pixels, their borders repeated outward, the rest transparent black."""
    box, border = atlas.boxes[page], atlas.extrude_px
    pixels_HWC = np.zeros((box.height_px, box.width_px, 4), dtype=np.uint8)
    for item in atlas.on_page(page):
        grown = np.pad(item.kept, ((border, border), (border, border), (0, 0)), mode="edge")
        top, left = item.y_px - border, item.x_px - border
        pixels_HWC[top : top + grown.shape[0], left : left + grown.shape[1]] = grown
    return pixels_HWC


def encode(pixels_HWC: UInt8[np.ndarray, "H W 4"]) -> bytes:
    """Return a PNG: the same bytes for the same pixels."""
    return png_bytes(Image.fromarray(pixels_HWC))


def _whole_box(sprite: Sprite) -> tuple[int, int, int, int]:
    height, width = sprite.pixels_HWC.shape[:2]
    return 0, 0, width, height


def _kept_box(sprite: Sprite) -> tuple[int, int, int, int]:
    """Return left, top, width and height of what is not fully transparent, one pixel at least."""
    seen_HW = sprite.pixels_HWC[:, :, 3] != 0
    rows, columns = np.flatnonzero(seen_HW.any(axis=1)), np.flatnonzero(seen_HW.any(axis=0))
    if not len(rows):
        return 0, 0, 1, 1
    left, top = int(columns[0]), int(rows[0])
    return left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1


def _first_of_its_kind(
    sprites: Sequence[Sprite], boxes_px: Sequence[tuple[int, int, int, int]]
) -> list[int]:
    """Return, for each sprite, the first one with the same kept pixels."""
    seen: dict[tuple[int, int, bytes], int] = {}
    first_of = []
    for i, (sprite, (left, top, width, height)) in enumerate(zip(sprites, boxes_px, strict=True)):
        kept = sprite.pixels_HWC[top : top + height, left : left + width]
        first_of.append(seen.setdefault((width, height, kept.tobytes()), i))
    return first_of
