"""Exports read back by other people's readers: every sprite cut out by what the file says."""

import csv
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import godot_parser
import numpy as np
import pyron
import pytiled_parser
import yaml
from PIL import Image


@dataclass(frozen=True)
class Cut:
    """A sprite's rectangle as a file tells it; y down."""

    image: Path
    rect: tuple[int, int, int, int]
    offset: tuple[float, float] = (0, 0)
    source: tuple[int, int] | None = None

    def restore(self, source: tuple[int, int]) -> np.ndarray:
        """Return the sprite at its full size, width and height given."""
        assert self.source in (None, source)
        x, y, width, height = self.rect
        page = page_of(self.image.read_bytes())
        assert 0 <= x <= x + width <= page.shape[1]
        assert 0 <= y <= y + height <= page.shape[0]
        full = np.zeros((source[1], source[0], 4), np.uint8)
        left, top = self.offset
        assert left == int(left) and top == int(top)
        full[int(top) : int(top) + height, int(left) : int(left) + width] = page[
            y : y + height, x : x + width
        ]
        return full


def pages(folder: Path, suffix: str) -> list[Path]:
    return [p for p in sorted(folder.iterdir()) if re.fullmatch(rf"atlas_\d+{suffix}", p.name)]


@lru_cache(maxsize=64)
def page_of(data: bytes) -> np.ndarray:
    with Image.open(BytesIO(data)) as page:
        return np.array(page)


def texturepacker(folder: Path) -> dict[str, Cut]:
    cuts = {}
    for file in pages(folder, ".json"):
        told = json.loads(file.read_text())
        listed = json.loads(file.with_suffix(".array.json").read_text())
        frames = {
            f["filename"]: {k: v for k, v in f.items() if k != "filename"} for f in listed["frames"]
        }
        assert frames == told["frames"]
        others = set(told["meta"].get("related_multi_packs", []))
        assert others == {p.name for p in pages(folder, ".json")} - {file.name}
        cuts |= _frames(folder, told["meta"], told["frames"])
    return cuts


def aseprite(folder: Path) -> dict[str, Cut]:
    cuts = {}
    for file in pages(folder, ".json"):
        told = json.loads(file.read_text())
        frames = {frame["filename"]: frame for frame in told["frames"]}
        assert len(frames) == len(told["frames"])
        covered = [
            i for tag in told["meta"]["frameTags"] for i in range(tag["from"], tag["to"] + 1)
        ]
        assert covered == list(range(len(frames)))
        cuts |= _frames(folder, told["meta"], frames)
    return cuts


def _frames(folder: Path, meta: dict, frames: dict) -> dict[str, Cut]:
    image = folder / meta["image"]
    with Image.open(image) as page:
        assert meta["size"] == {"w": page.width, "h": page.height}
    assert meta["format"] == "RGBA8888"
    cuts = {}
    for name, frame in frames.items():
        rect, kept, source = (frame[k] for k in ("frame", "spriteSourceSize", "sourceSize"))
        assert (rect["w"], rect["h"]) == (kept["w"], kept["h"])
        assert frame["trimmed"] == ((kept["w"], kept["h"]) != (source["w"], source["h"]))
        assert frame["rotated"] is False
        cuts[name] = Cut(
            image,
            tuple(rect[k] for k in "xywh"),
            (kept["x"], kept["y"]),
            (source["w"], source["h"]),
        )
    return cuts


def bevy(folder: Path) -> dict[str, Cut]:
    cuts = {}
    for image in pages(folder, ".png"):
        layout = pyron.load(str(image.with_suffix(".layout.ron")))
        assert layout.keys() == {"size", "textures"}
        with Image.open(image) as page:
            assert layout["size"] == page.size
        for name, told in pyron.load(str(image.with_suffix(".sprites.ron"))).items():
            rect = layout["textures"][told["index"]]
            (x0, y0), (x1, y1) = rect["min"], rect["max"]
            cuts[name] = Cut(image, (x0, y0, x1 - x0, y1 - y0), told["offset"], told["source_size"])
    return cuts


def godot(folder: Path) -> dict[str, Cut]:
    cuts = {}
    for file in sorted(folder.glob("*.tres")):
        told = godot_parser.load(str(file))
        head = told.get_sections()[0]
        assert head.header.attributes["format"] == 3
        assert head.header.attributes["load_steps"] == len(told.get_sections()) - 1
        if file.name != "sprite_frames.tres":
            assert head.header.attributes["type"] == "AtlasTexture"
            cuts[file.stem] = _region(folder, told, told.find_section("resource"))
    frames = godot_parser.load(str(folder / "sprite_frames.tres"))
    regions = [_region(folder, frames, s) for s in frames.get_sections("sub_resource")]
    assert sorted(map(repr, regions)) == sorted(map(repr, cuts.values()))
    used = [
        f["texture"].id for a in frames.find_section("resource")["animations"] for f in a["frames"]
    ]
    assert sorted(used) == sorted(s.id for s in frames.get_sections("sub_resource"))
    return cuts


def _region(folder: Path, told: godot_parser.GDFile, section: godot_parser.GDSection) -> Cut:
    image = folder / told.find_ext_resource(id=section["atlas"].id).path
    x, y, width, height = section["region"].args
    margin = section.get("margin")
    left, top, wider, higher = margin.args if margin else (0, 0, 0, 0)
    return Cut(image, (x, y, width, height), (left, top), (width + wider, height + higher))


def tiled(folder: Path) -> dict[str, Cut]:
    cuts = {}
    for file in sorted(folder.glob("*.tsx")):
        tileset = pytiled_parser.parse_tileset(file)
        for tile_id, tile in tileset.tiles.items():
            if tileset.image:
                cut = Cut(folder / tileset.image, tile_rect(tileset, tile_id))
            else:
                cut = Cut(folder / tile.image, (tile.x, tile.y, tile.width, tile.height))
            cuts[tile.properties["name"]] = cut
    return cuts


def tile_rect(tileset: pytiled_parser.Tileset, tile_id: int) -> tuple[int, int, int, int]:
    """Return where Tiled finds a tile: it counts the columns itself, from the image's width."""
    width, height, gap = tileset.tile_width, tileset.tile_height, tileset.spacing
    columns = (tileset.image_width - tileset.margin + gap) // (width + gap)
    rows = (tileset.image_height - tileset.margin + gap) // (height + gap)
    assert (tileset.columns, tileset.tile_count) == (columns, columns * rows)
    row, column = divmod(tile_id, columns)
    x, y = (tileset.margin + i * (size + gap) for i, size in ((column, width), (row, height)))
    return x, y, width, height


def unity(folder: Path) -> dict[str, Cut]:
    cuts, ids = {}, set()
    for file in sorted(folder.glob("*.png.meta")):
        told = yaml.safe_load(file.read_text())
        importer, image = told["TextureImporter"], file.with_suffix("")
        assert importer["spriteMode"] == 2
        assert importer["textureType"] == 8
        with Image.open(image) as page:
            page_height = page.height
        table = {e["second"]: e["first"][213] for e in importer["internalIDToNameTable"]}
        sprite_ids = importer["spriteSheet"]["nameFileIdTable"]
        for sprite in importer["spriteSheet"]["sprites"]:
            assert table[sprite["name"]] == sprite["internalID"]
            assert sprite_ids[sprite["name"]] == sprite["internalID"]
            ids.add(sprite["internalID"])
            x, up, width, height = (sprite["rect"][k] for k in ("x", "y", "width", "height"))
            y = page_height - up - height
            # The pivot stands at the middle of the untrimmed sprite: Unity knows no more of it.
            pivot = (sprite["pivot"]["x"] * width, (1 - sprite["pivot"]["y"]) * height)
            cuts[sprite["name"]] = UnityCut(image, (x, y, width, height), pivot)
    assert len(ids) == len(cuts)
    return cuts


class UnityCut(Cut):
    def restore(self, source: tuple[int, int]) -> np.ndarray:
        offset = tuple(round(s / 2 - p, 3) for s, p in zip(source, self.offset, strict=True))
        return Cut(self.image, self.rect, offset).restore(source)


def sheet(folder: Path) -> dict[str, Cut]:
    with (folder / "sprites.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    keys = ("x_px", "y_px", "width_px", "height_px")
    return {r["name"]: Cut(folder / r["image"], tuple(int(r[k]) for k in keys)) for r in rows}


READERS: dict[str, Callable[[Path], dict[str, Cut]]] = {
    "texturepacker": texturepacker, "aseprite": aseprite, "bevy": bevy, "godot": godot,
    "tiled": tiled, "unity": unity, "sheet": sheet,
}  # fmt: skip
