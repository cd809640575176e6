"""A plain sprite sheet with a table of its cells, and an enlarged contact sheet to look at."""

import csv
from io import BytesIO, StringIO

from PIL import Image

from pipeline.core.sheet import contact_sheet
from pipeline.export.atlas import Atlas, page_file

ENLARGE = 4
MAX_SHEET_IMAGES = 1024
"""More than that is no longer looked at, and would make a picture of hundreds of megabytes."""


def write(atlas: Atlas) -> dict[str, bytes]:
    """Return ``sprites.csv`` and ``contact_sheet.png`` (the first 1024 sprites, fourfold)."""
    table = StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["name", "image", "x_px", "y_px", "width_px", "height_px", "file", "prompt"])
    for item in atlas.placed:
        place = (item.x_px, item.y_px, item.width_px, item.height_px)
        told = (item.sprite.file, item.sprite.prompt or "")
        rows.writerow([item.sprite.name, page_file(item.page), *place, *told])
    shown = [Image.fromarray(item.kept) for item in atlas.placed[:MAX_SHEET_IMAGES]]
    columns = max(1, round(len(shown) ** 0.5))
    buffer = BytesIO()
    contact_sheet(shown, columns=columns, enlarge=ENLARGE).save(buffer, format="PNG")
    return {"sprites.csv": table.getvalue().encode(), "contact_sheet.png": buffer.getvalue()}
