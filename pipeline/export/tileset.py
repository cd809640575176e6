"""Transition tilesets of two terrains, for Tiled and Godot.

tileset.tsx   grid with a Wang set: type ``corner`` or, for the blob set, ``mixed``
              (https://doc.mapeditor.org/en/stable/reference/tmx-map-format/#wangset)
tileset.tres  Godot 4 TileSet with a terrain set: mode 1, match corners, or 0, match corners and
              sides (https://docs.godotengine.org/en/stable/classes/class_tileset.html)
"""

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64, UInt8

from pipeline.core.errors import InputError
from pipeline.core.files import sha256_bytes
from pipeline.export.atlas import Atlas, build_atlas
from pipeline.export.conf import ExportConfig, ExportFormat
from pipeline.export.folder import check_replaceable
from pipeline.export.godot import page_resource
from pipeline.export.naming import Label, asset_names, label_of_prompt
from pipeline.export.records import Sprite, decode
from pipeline.export.run import write_atlas
from pipeline.export.tiled import grid_tileset, to_xml
from pipeline.export.wang import (
    MAX_ROUGHNESS,
    Boundary,
    WangKind,
    all_nodes,
    draw_tile,
    terrain_mask,
)

AROUND = (
    ("top_side", -1, 0), ("top_right_corner", -1, 1), ("right_side", 0, 1),
    ("bottom_right_corner", 1, 1), ("bottom_side", 1, 0), ("bottom_left_corner", 1, -1),
    ("left_side", 0, -1), ("top_left_corner", -1, -1),
)  # fmt: skip
"""Godot's peering bits, their row and column from the middle; in the order of a Tiled wangid."""


@dataclass(kw_only=True, slots=True)
class TilesetConfig:
    """Two terrains to all tiles between them."""

    kind: WangKind = WangKind.corner
    """16 corner tiles, or 47 blob tiles and one of the first terrain."""
    boundary: Boundary = Boundary.hard
    """How the line between the terrains looks."""
    roughness: float = 0.25
    """How far noise moves that line; 0 is straight and round."""
    seed: int = 0
    """Decides the noise."""
    num_variants: int = 1
    """Tiles for each neighbourhood; they take turns with the terrains' own variants."""
    size_px: int = 2048
    """Longest side of the page."""
    padding_px: int = 2
    """Transparent pixels between two tiles."""
    extrude_px: int = 1
    """How far the outermost pixels of a tile are repeated outward."""
    pot: bool = True
    """Whether the sides of the page are powers of two."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.roughness <= MAX_ROUGHNESS:
            raise ValueError(f"roughness: {self.roughness} is not within 0..{MAX_ROUGHNESS}")
        if not 1 <= self.num_variants <= 64:
            raise ValueError(f"num_variants: {self.num_variants} is not within 1..64")
        self.atlas_config()

    def atlas_config(self) -> ExportConfig:
        """Return how the tiles are packed."""
        return ExportConfig(
            format=ExportFormat.tiled,
            size_px=self.size_px,
            padding_px=self.padding_px,
            extrude_px=self.extrude_px,
            pot=self.pot,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Terrain:
    """One terrain with its variants, all opaque squares of one size."""

    name: str
    digests: list[str]
    tiles: list[UInt8[np.ndarray, "H W 4"]]

    @property
    def colour(self) -> tuple[int, int, int]:
        """Mean colour, to show the terrain by."""
        red, green, blue = np.mean(self.tiles, axis=(0, 1, 2))[:3].round().astype(int).tolist()
        return red, green, blue


def export_tileset(first: Path, second: Path, out: Path, cfg: TilesetConfig) -> Atlas:
    """Write the tileset of two terrains; everything appears at once.

    Args:
        first: Terrain A: an opaque PNG, or a folder of them as variants.
        second: Terrain B, the same size.
        out: Folder to make; replaced when it is an export that nobody changed since.
        cfg: Which tiles, and how they look.

    Raises:
        InputError: A terrain, an option or ``out`` is not usable; nothing was written.
    """
    check_replaceable(out)
    terrains = _load_terrains(first, second, max_px=cfg.size_px)
    nodes, sprites = _draw(terrains, cfg)
    atlas = build_atlas(sprites, cfg.atlas_config())
    if len(atlas.boxes) > 1:
        raise InputError(f"size_px: {len(sprites)} tiles do not fit on one page of {cfg.size_px}")
    files = {
        "tileset.tsx": to_xml(_tiled(atlas, nodes, terrains, cfg.kind)),
        "tileset.tres": _godot(atlas, nodes, terrains, cfg.kind).encode(),
    }
    told: dict[str, Any] = {
        "terrains": {terrain.name: terrain.digests for terrain in terrains},
        "options": {
            "kind": cfg.kind.value,
            "boundary": cfg.boundary.value,
            "roughness": cfg.roughness,
            "seed": cfg.seed,
            "num_variants": cfg.num_variants,
        },
    }
    write_atlas(out, atlas, files, told=told)
    return atlas


def _load_terrains(first: Path, second: Path, *, max_px: int) -> tuple[Terrain, Terrain]:
    terrains = _load(first, max_px=max_px), _load(second, max_px=max_px)
    sizes = {tile.shape[:2] for terrain in terrains for tile in terrain.tiles}
    if len(sizes) > 1:
        found = ", ".join(f"{width}x{height}" for height, width in sorted(sizes))
        raise InputError(f"{second}: all tiles must have one size; found {found} px")
    if terrains[0].name == terrains[1].name:
        raise InputError(f"{second}: both terrains are called {terrains[0].name!r}; rename one")
    return terrains


def _load(path: Path, *, max_px: int) -> Terrain:
    files = [path]
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.suffix.lower() == ".png")
    if not files or not files[0].is_file():
        raise InputError(f"{path}: no PNG file, nor a folder with one")
    data = [file.read_bytes() for file in files]
    tiles = []
    for file, encoded in zip(files, data, strict=True):
        pixels_HWC = decode(encoded, path=file, max_px=max_px)
        height, width = pixels_HWC.shape[:2]
        if height != width or height < 8 or height % 2:
            raise InputError(f"{file}: {width}x{height} px; needed is an even square from 8 px up")
        if (pixels_HWC[:, :, 3] != 255).any():
            raise InputError(f"{file}: not opaque; a terrain tile has alpha 255 everywhere")
        tiles.append(pixels_HWC)
    name = label_of_prompt(path.stem, variant=0, index=0).name
    return Terrain(name=name, digests=[sha256_bytes(d) for d in data], tiles=tiles)


def _draw(
    terrains: tuple[Terrain, Terrain], cfg: TilesetConfig
) -> tuple[list[Int64[np.ndarray, "K K"]], list[Sprite]]:
    """Return the nodes and the picture of every tile, variants of one neighbourhood together."""
    a, b = terrains
    drawn: list[tuple[Int64[np.ndarray, "K K"], Label, UInt8[np.ndarray, "H W 4"]]] = []
    for number, nodes_KK in enumerate(all_nodes(cfg.kind)):
        for variant in range(cfg.num_variants):
            mask_HW = terrain_mask(
                nodes_KK, size_px=a.tiles[0].shape[0], roughness=cfg.roughness, seed=cfg.seed,
                variant=variant,
            )  # fmt: skip
            a_HWC, b_HWC = a.tiles[variant % len(a.tiles)], b.tiles[variant % len(b.tiles)]
            name = f"{a.name}-{b.name}-{number:02d}"
            label = Label(category="tile", name=name, variant=variant, frame=0, index=len(drawn))
            drawn.append((nodes_KK, label, draw_tile(a_HWC, b_HWC, mask_HW, cfg.boundary)))
    names = asset_names([label for _, label, _ in drawn], ExportConfig().name_pattern)
    sprites = [
        Sprite(
            name=name, label=label, file=name, sha256=sha256_bytes(pixels_HWC.tobytes()),
            prompt=None, pixels_HWC=pixels_HWC,
        )
        for name, (_, label, pixels_HWC) in zip(names, drawn, strict=True)
    ]  # fmt: skip
    return [nodes_KK for nodes_KK, _, _ in drawn], sprites


def _around(nodes_KK: Int64[np.ndarray, "K K"]) -> Iterator[tuple[str, int | None]]:
    """Yield each of the eight directions with its terrain; None for a side that has no node."""
    middle = (nodes_KK.shape[0] - 1) / 2
    for name, row, column in AROUND:
        place = (middle + row * middle, middle + column * middle)
        there = all(axis.is_integer() for axis in place)
        yield name, int(nodes_KK[int(place[0]), int(place[1])]) if there else None


def _tiled(
    atlas: Atlas,
    nodes: Sequence[Int64[np.ndarray, "K K"]],
    terrains: tuple[Terrain, Terrain],
    kind: WangKind,
) -> ET.Element:
    tileset = grid_tileset(atlas, 0)
    title = f"{terrains[0].name} {terrains[1].name}"
    tileset.set("name", title)
    wangset = ET.SubElement(
        ET.SubElement(tileset, "wangsets"),
        "wangset",
        {"name": title, "type": "corner" if kind is WangKind.corner else "mixed", "tile": "-1"},
    )
    for terrain, tile_id in zip(terrains, _pure(nodes), strict=True):
        colour = "#{:02x}{:02x}{:02x}".format(*terrain.colour)
        told = {"name": terrain.name, "color": colour, "tile": str(tile_id), "probability": "1"}
        ET.SubElement(wangset, "wangcolor", told)
    for tile_id, nodes_KK in enumerate(nodes):
        # Colours count from 1; 0 is a place without one.
        ids = ",".join("0" if t is None else str(t + 1) for _, t in _around(nodes_KK))
        ET.SubElement(wangset, "wangtile", {"tileid": str(tile_id), "wangid": ids})
    return tileset


def _pure(nodes: Sequence[Int64[np.ndarray, "K K"]]) -> tuple[int, int]:
    """Return the first tile of A alone and the first of B alone."""
    empty = next(i for i, nodes_KK in enumerate(nodes) if not nodes_KK.any())
    return empty, next(i for i, nodes_KK in enumerate(nodes) if nodes_KK.all())


def _godot(
    atlas: Atlas,
    nodes: Sequence[Int64[np.ndarray, "K K"]],
    terrains: tuple[Terrain, Terrain],
    kind: WangKind,
) -> str:
    size, spacing = atlas.placed[0].width_px, atlas.padding_px + 2 * atlas.extrude_px
    lines = [
        '[gd_resource type="TileSet" load_steps=3 format=3]\n',
        page_resource(0),
        '[sub_resource type="TileSetAtlasSource" id="tiles"]',
        'texture = ExtResource("page_0")',
        f"margins = Vector2i({atlas.extrude_px}, {atlas.extrude_px})",
        f"separation = Vector2i({spacing}, {spacing})",
        f"texture_region_size = Vector2i({size}, {size})",
    ]
    for tile_id, nodes_KK in enumerate(nodes):
        row, column = divmod(tile_id, atlas.boxes[0].columns)
        tile = f"{column}:{row}/0"
        # The middle node, or, where there is none, the terrain of two corners and more.
        centre = int(nodes_KK[1, 1]) if len(nodes_KK) == 3 else int(nodes_KK.sum() >= 2)
        lines += [f"{tile} = 0", f"{tile}/terrain_set = 0", f"{tile}/terrain = {centre}"]
        lines += [
            f"{tile}/terrains_peering_bit/{name} = {terrain}"
            for name, terrain in _around(nodes_KK)
            if terrain is not None
        ]
    lines += ["\n[resource]", f"tile_size = Vector2i({size}, {size})"]
    lines.append(f"terrain_set_0/mode = {1 if kind is WangKind.corner else 0}")
    for number, terrain in enumerate(terrains):
        shares = ", ".join(f"{value / 255:.6g}" for value in terrain.colour)
        lines.append(f'terrain_set_0/terrain_{number}/name = "{terrain.name}"')
        lines.append(f"terrain_set_0/terrain_{number}/color = Color({shares}, 1)")
    return "\n".join([*lines, 'sources/0 = SubResource("tiles")']) + "\n"
