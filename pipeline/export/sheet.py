"""A plain sprite sheet with a table of its cells, and an enlarged contact sheet to look at."""

import csv
import math
from io import StringIO

from PIL import Image

from pipeline.core.picture import png_bytes
from pipeline.core.sheet import GAP_PX, contact_sheet
from pipeline.export.atlas import Atlas, page_file

ENLARGE = 4
MAX_SIDE_PX = 8192
"""Of the contact sheet: a larger one is no longer looked at."""


def write(atlas: Atlas) -> dict[str, bytes]:
    """Return ``sprites.csv`` and ``contact_sheet.png`` (fourfold, as far as it fits)."""
    table = StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["name", "image", "x_px", "y_px", "width_px", "height_px", "file", "prompt"])
    for item in atlas.placed:
        place = (item.x_px, item.y_px, item.width_px, item.height_px)
        told = (item.sprite.file, item.sprite.prompt or "")
        rows.writerow([item.sprite.name, page_file(item.page), *place, *told])
    return {
        "sprites.csv": table.getvalue().encode("utf-8", "replace"),
        "contact_sheet.png": png_bytes(_contact_sheet(atlas)),
    }


def _contact_sheet(atlas: Atlas) -> Image.Image:
    """Show as many of the first sprites as fit, larger where there is room."""
    cell_px = max(max(item.width_px, item.height_px) for item in atlas.placed) + GAP_PX
    columns = min(math.ceil(len(atlas.placed) ** 0.5), max(1, MAX_SIDE_PX // cell_px))
    shown = [Image.fromarray(item.kept) for item in atlas.placed[: columns * columns]]
    enlarge = min(ENLARGE, max(1, MAX_SIDE_PX // (columns * cell_px)))
    return contact_sheet(shown, columns=columns, enlarge=enlarge)
