"""Tilesets for Tiled: a grid a page, or a collection where sizes differ.

Format: https://doc.mapeditor.org/en/stable/reference/tmx-map-format/ (version 1.10). Tiled counts
the columns of a grid itself, from the image's width; a page it would count differently is refused
here, because all tile ids would shift. Sub-rectangles of a collection need Tiled 1.9.
"""

import xml.etree.ElementTree as ET
from collections.abc import Mapping

from pipeline.core.errors import InputError
from pipeline.export.atlas import Atlas, Placed, page_file

VERSION = "1.10"


def write(atlas: Atlas) -> dict[str, bytes]:
    """Return ``atlas_<page>.tsx`` of every page, or ``sprites.tsx`` where sizes differ.

    Raises:
        InputError: Padding and extrusion do not let Tiled find the columns of a page.
    """
    if any(box.columns == 0 for box in atlas.boxes):
        return {"sprites.tsx": to_xml(_collection(atlas))}
    return {
        f"atlas_{page}.tsx": to_xml(grid_tileset(atlas, page)) for page in range(len(atlas.boxes))
    }


def grid_tileset(atlas: Atlas, page: int) -> ET.Element:
    """Return one page as a grid of tiles; tile ids run along rows.

    Raises:
        InputError: Tiled would count other columns.
    """
    box, items = atlas.boxes[page], atlas.on_page(page)
    width, height = items[0].width_px, items[0].height_px
    margin, spacing = atlas.extrude_px, atlas.padding_px + 2 * atlas.extrude_px
    columns = (box.width_px - margin + spacing) // (width + spacing)
    rows = (box.height_px - margin + spacing) // (height + spacing)
    if columns != box.columns:
        raise InputError(
            f"padding_px: with {atlas.padding_px}, and extrude_px {atlas.extrude_px}, Tiled counts "
            f"{columns} columns on {page_file(page)}, which has {box.columns}; choose other numbers"
        )
    tileset = _tileset(f"atlas_{page}", (width, height), count=columns * rows, columns=columns)
    if spacing:
        tileset.set("spacing", str(spacing))
    if margin:
        tileset.set("margin", str(margin))
    tileset.append(_image(atlas, page))
    for tile_id, item in enumerate(items):
        tileset.append(_tile(tile_id, item))
    return tileset


def to_xml(element: ET.Element) -> bytes:
    """Return the file: declaration, one space an indentation level, final newline."""
    ET.indent(element, space=" ")
    text = ET.tostring(element, encoding="unicode", short_empty_elements=True)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'.encode()


def _collection(atlas: Atlas) -> ET.Element:
    largest = (
        max(item.width_px for item in atlas.placed),
        max(item.height_px for item in atlas.placed),
    )
    tileset = _tileset("sprites", largest, count=len(atlas.placed), columns=0)
    for tile_id, item in enumerate(atlas.placed):
        tile = _tile(tile_id, item)
        _set(tile, {"x": item.x_px, "y": item.y_px})
        _set(tile, {"width": item.width_px, "height": item.height_px})
        tile.append(_image(atlas, item.page))
        tileset.append(tile)
    return tileset


def _tileset(name: str, size_px: tuple[int, int], *, count: int, columns: int) -> ET.Element:
    tileset = ET.Element("tileset", {"version": VERSION, "name": name})
    _set(tileset, {"tilewidth": size_px[0], "tileheight": size_px[1]})
    _set(tileset, {"tilecount": count, "columns": columns})
    return tileset


def _image(atlas: Atlas, page: int) -> ET.Element:
    image = ET.Element("image", {"source": page_file(page)})
    box = atlas.boxes[page]
    _set(image, {"width": box.width_px, "height": box.height_px})
    return image


def _tile(tile_id: int, item: Placed) -> ET.Element:
    tile = ET.Element("tile", {"id": str(tile_id), "type": item.sprite.label.category})
    properties = ET.SubElement(tile, "properties")
    told = {"name": item.sprite.name}
    if item.sprite.prompt is not None:
        told["prompt"] = printable(item.sprite.prompt)
    for key, value in told.items():
        ET.SubElement(properties, "property", {"name": key, "value": value})
    return tile


def printable(text: str) -> str:
    """Return text without characters that XML 1.0 does not allow."""
    return "".join(
        char
        for char in text
        if char in "\t\n\r" or " " <= char <= "\ud7ff" or "\ue000" <= char <= "\ufffd"
        or char >= "\U00010000"
    )  # fmt: skip


def _set(element: ET.Element, values: Mapping[str, int]) -> None:
    for key, value in values.items():
        element.set(key, str(value))
