"""Aseprite's JSON, as of ``--data D --format json-array --list-tags --list-layers --list-slices``.

Options: https://www.aseprite.org/docs/cli/. Frames of one animation stand next to each other and
share a tag; a slice holds, frame by frame, the bounds of what is not transparent.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np

from pipeline.export.atlas import Atlas, Placed
from pipeline.export.texturepacker import frame_of, page_meta, to_json

DURATION_MS = 100
"""How long Aseprite shows a frame unless told otherwise."""
COLOUR = "#0000ffff"


def write(atlas: Atlas) -> dict[str, bytes]:
    """Return ``atlas_<page>.json`` of every page."""
    files = {}
    for page in range(len(atlas.boxes)):
        items = by_animation(atlas.on_page(page))
        frames = [
            {"filename": item.sprite.name} | frame_of(item) | {"duration": DURATION_MS}
            for item in items
        ]
        meta = page_meta(atlas, page) | {
            "frameTags": _tags(items),
            "layers": [{"name": "Layer 1", "opacity": 255, "blendMode": "normal"}],
            "slices": _slices(items),
        }
        files[f"atlas_{page}.json"] = to_json({"frames": frames, "meta": meta})
    return files


def by_animation(items: Sequence[Placed]) -> list[Placed]:
    """Return the sprites with frames of one animation next to each other, in order of frames."""
    first: dict[str, int] = {}
    for position, item in enumerate(items):
        first.setdefault(item.sprite.label.group, position)
    return sorted(items, key=lambda item: (first[item.sprite.label.group], item.sprite.label.frame))


def _tags(items: Sequence[Placed]) -> list[dict[str, Any]]:
    tags = []
    numbered = enumerate(item.sprite.label.group for item in items)
    for group, members in groupby(numbered, key=lambda pair: pair[1]):
        positions = [position for position, _ in members]
        tag = {"name": group, "from": positions[0], "to": positions[-1]}
        tags.append(tag | {"direction": "forward", "color": "#000000ff"})
    return tags


def _slices(items: Sequence[Placed]) -> list[dict[str, Any]]:
    keys: dict[str, list[dict[str, Any]]] = {}
    for position, item in enumerate(items):
        rows, columns = np.nonzero(item.sprite.pixels_HWC[:, :, 3])
        if len(rows):
            x, y = int(columns.min()), int(rows.min())
            width, height = int(columns.max()) - x + 1, int(rows.max()) - y + 1
            bounds = {"x": x, "y": y, "w": width, "h": height}
            keys.setdefault(item.sprite.label.group, []).append(
                {"frame": position, "bounds": bounds}
            )
    return [{"name": name, "color": COLOUR, "keys": found} for name, found in keys.items()]
