"""TexturePacker's JSON, once with frames by name (hash) and once as a list (array).

Fields: https://www.codeandweb.com/texturepacker/documentation (JSON hash, JSON array); read by
Phaser, PixiJS and others. Frame names carry no file extension ("trim sprite names").
"""

import json
from typing import Any

from pipeline.export.atlas import Atlas, Placed, page_file

VERSION = "1.0"


def write(atlas: Atlas) -> dict[str, bytes]:
    """Return ``atlas_<page>.json`` (hash) and ``atlas_<page>.array.json`` of every page."""
    files = {}
    for page in range(len(atlas.boxes)):
        items = atlas.on_page(page)
        meta = page_meta(atlas, page) | _siblings(atlas, page)
        by_name = {item.sprite.name: frame_of(item) for item in items}
        listed = [{"filename": item.sprite.name} | frame_of(item) for item in items]
        files[f"atlas_{page}.json"] = to_json({"frames": by_name, "meta": meta})
        files[f"atlas_{page}.array.json"] = to_json(
            {"frames": listed, "meta": page_meta(atlas, page)}
        )
    return files


def frame_of(item: Placed) -> dict[str, Any]:
    """Return one frame: where it is, and where it was before trimming."""
    size = {"w": item.width_px, "h": item.height_px}
    return {
        "frame": {"x": item.x_px, "y": item.y_px} | size,
        "rotated": False,
        "trimmed": item.trimmed,
        "spriteSourceSize": {"x": item.offset_x_px, "y": item.offset_y_px} | size,
        "sourceSize": {"w": item.source_width_px, "h": item.source_height_px},
    }


def page_meta(atlas: Atlas, page: int) -> dict[str, Any]:
    """Return what both this and Aseprite's format say of a page."""
    box = atlas.boxes[page]
    return {
        "app": "dgx-pixels",
        "version": VERSION,
        "image": page_file(page),
        "format": "RGBA8888",
        "size": {"w": box.width_px, "h": box.height_px},
        "scale": "1",
    }


def to_json(value: dict[str, Any]) -> bytes:
    """Return indented JSON with a final newline."""
    return (json.dumps(value, indent=1, allow_nan=False) + "\n").encode()


def _siblings(atlas: Atlas, page: int) -> dict[str, list[str]]:
    """Return the other pages' files under the key PixiJS loads them by."""
    others = [f"atlas_{other}.json" for other in range(len(atlas.boxes)) if other != page]
    return {"related_multi_packs": others} if others else {}
