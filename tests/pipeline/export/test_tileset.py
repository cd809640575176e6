"""Transition tiles: all there, each as its Wang id says, exact at every seam."""

from itertools import product
from pathlib import Path

import godot_parser
import numpy as np
import pytest
import pytiled_parser
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.core.errors import InputError
from pipeline.export.tileset import TilesetConfig, export_tileset
from pipeline.export.wang import (
    MAX_ROUGHNESS,
    Boundary,
    WangKind,
    all_nodes,
    draw_tile,
    terrain_mask,
)
from tests.pipeline.export.readers import tile_rect

# Tiled's documentation: top, top right, right, bottom right, bottom, bottom left, left, top left.
# Names are those of Godot's TileSet.CellNeighbor; then rows down and columns right of the middle.
AROUND = [
    ("top_side", -1, 0), ("top_right_corner", -1, 1), ("right_side", 0, 1),
    ("bottom_right_corner", 1, 1), ("bottom_side", 1, 0), ("bottom_left_corner", 1, -1),
    ("left_side", 0, -1), ("top_left_corner", -1, -1),
]  # fmt: skip
KINDS = pytest.mark.parametrize("kind", list(WangKind), ids=lambda kind: kind.value)
A, B = (10, 20, 200, 255), (60, 180, 40, 255)


def flat(colour: tuple[int, ...], size_px: int = 16) -> np.ndarray:
    return np.full((size_px, size_px, 4), colour, np.uint8)


def terrains(folder: Path, size_px: int = 16) -> tuple[Path, Path]:
    for name, colour in (("water", A), ("grass", B)):
        Image.fromarray(flat(colour, size_px)).save(folder / f"{name}.png")
    return folder / "water.png", folder / "grass.png"


@KINDS
@settings(max_examples=25, deadline=None)
@given(
    half_px=st.integers(4, 16),
    roughness=st.floats(0, MAX_ROUGHNESS),
    seed=st.integers(0, 2**40),
    boundary=st.sampled_from([Boundary.hard, Boundary.outline]),
)
def test_tiles_with_a_common_edge_agree_along_it(
    kind: WangKind, half_px: int, roughness: float, seed: int, boundary: Boundary
) -> None:
    size_px = 2 * half_px
    edges: dict[tuple[str, tuple[int, ...]], np.ndarray] = {}
    for nodes, variant in product(all_nodes(kind), (0, 1, 2)):
        mask = terrain_mask(nodes, size_px=size_px, roughness=roughness, seed=seed, variant=variant)
        tile = draw_tile(flat(A, size_px), flat(B, size_px), mask, boundary)
        for way, at in (("across", 0), ("across", -1)):
            kept = edges.setdefault((way, tuple(nodes[:, at])), tile[:, at])
            assert np.array_equal(kept, tile[:, at])
        for at in (0, -1):
            kept = edges.setdefault(("down", tuple(nodes[at])), tile[at])
            assert np.array_equal(kept, tile[at])
        if not nodes.any() or nodes.all():
            assert np.array_equal(mask, np.full_like(mask, nodes.all()))


@KINDS
def test_a_set_has_every_neighbourhood_once(kind: WangKind) -> None:
    nodes = all_nodes(kind)
    assert (
        len({tuple(n.flat) for n in nodes}) == len(nodes) == (16 if kind is WangKind.corner else 48)
    )
    assert not nodes[0].any()
    assert nodes[-1].all()


def test_blob_tiles_serve_every_map() -> None:
    known = {tuple(n.flat) for n in all_nodes(WangKind.blob)}
    generator = np.random.default_rng(0)
    cells = generator.random((40, 40)) < 0.6
    for row, column in product(range(1, 39), range(1, 39)):
        near = cells[row - 1 : row + 2, column - 1 : column + 2].astype(int)
        want = np.zeros((3, 3), int)
        for y, x in product(range(3), range(3)):
            # A node is B when all cells that touch it are.
            touching = near[min(y, 1) : max(y, 1) + 1, min(x, 1) : max(x, 1) + 1]
            want[y, x] = touching.all()
        assert tuple(want.flat) in known


@pytest.mark.parametrize("size_px", [16, 32])
def test_dither_only_trades_pixels_along_the_line(size_px: int) -> None:
    for nodes in all_nodes(WangKind.blob):
        mask = terrain_mask(nodes, size_px=size_px, roughness=0.2, seed=1, variant=0)
        tiles = [draw_tile(flat(A, size_px), flat(B, size_px), mask, b) for b in Boundary]
        hard, dither, outline = tiles
        changed = (hard != dither).any(axis=2)
        grown = np.pad(mask, 1, mode="edge")
        around = [grown[1:-1, :-2], grown[1:-1, 2:], grown[:-2, 1:-1], grown[2:, 1:-1]]
        line = np.any([mask != other for other in around], axis=0)
        assert not (changed & ~line).any()
        outlined = (outline != hard).any(axis=2)
        # An outline has the darkest colour there is, here A's; B keeps what is not on the line.
        assert not (outlined & ~(line & mask)).any()
        # Within the tile, edges apart, nothing on the line is left out.
        rows, columns = np.indices(mask.shape)
        inner = np.s_[1:-1, 1:-1]
        assert np.array_equal(changed[inner], (line & ((rows + columns) % 2 == 0))[inner])
        assert np.array_equal(outlined[inner], (line & mask)[inner])


@KINDS
def test_tiled_and_godot_say_of_each_tile_what_it_shows(kind: WangKind, tmp_path: Path) -> None:
    water, grass = terrains(tmp_path)
    cfg = TilesetConfig(kind=kind, roughness=0.0, num_variants=2)
    export_tileset(water, grass, tmp_path / "out", cfg)
    tileset = pytiled_parser.parse_tileset(tmp_path / "out" / "tileset.tsx")
    page = np.array(Image.open(tmp_path / "out" / tileset.image))
    (wangset,) = tileset.wang_sets
    assert wangset.wang_type == ("corner" if kind is WangKind.corner else "mixed")
    assert [colour.name for colour in wangset.wang_colors] == ["water", "grass"]
    assert [tuple(colour.color)[:3] for colour in wangset.wang_colors] == [A[:3], B[:3]]
    assert len(wangset.wang_tiles) == 2 * len(all_nodes(kind))
    godot = godot_parser.load(str(tmp_path / "out" / "tileset.tres"))
    source, resource = godot.find_section("sub_resource"), godot.find_section("resource")
    assert resource["terrain_set_0/mode"] == (1 if kind is WangKind.corner else 0)
    for tile_id, wang in wangset.wang_tiles.items():
        x, y, width, height = tile_rect(tileset, tile_id)
        tile = page[y : y + height, x : x + width]
        column, row = tile_id % tileset.columns, tile_id // tileset.columns
        # Godot's own sum for where an atlas tile lies.
        margin, gap = source["margins"].args, source["separation"].args
        size = source["texture_region_size"].args
        assert (x, y) == tuple(
            m + i * (s + g) for m, i, s, g in zip(margin, (column, row), size, gap, strict=True)
        )
        assert source[f"{column}:{row}/0/terrain_set"] == 0
        for (name, down, right), colour in zip(AROUND, wang.wang_id, strict=True):
            key = f"{column}:{row}/0/terrains_peering_bit/{name}"
            if colour == 0:
                assert kind is WangKind.corner
                assert key not in source.properties
                continue
            spot = [{-1: 0, 0: height // 2, 1: height - 1}[step] for step in (down, right)]
            assert tuple(tile[spot[0], spot[1]]) == (A, B)[colour - 1]
            assert source[key] == colour - 1
    first, last = (colour.tile for colour in wangset.wang_colors)
    assert set(wangset.wang_tiles[first].wang_id) <= {0, 1}
    assert set(wangset.wang_tiles[last].wang_id) <= {0, 2}


def test_variants_take_turns(tmp_path: Path) -> None:
    water, _ = terrains(tmp_path)
    (tmp_path / "grass").mkdir()
    for i in range(3):
        Image.fromarray(flat((0, 100 + i, 0, 255))).save(tmp_path / "grass" / f"{i}.png")
    cfg = TilesetConfig(num_variants=3, extrude_px=0, padding_px=0)
    atlas = export_tileset(water, tmp_path / "grass", tmp_path / "out", cfg)
    greens = [item.sprite.pixels_HWC[:, :, 1].max() for item in atlas.placed[-3:]]
    assert greens == [100, 101, 102]


def broken(folder: Path, kind: str) -> tuple[Path, Path]:
    water, grass = terrains(folder)
    picture = flat(B)
    match kind:
        case "absent":
            grass = folder / "none.png"
        case "holes":
            picture[3, 3, 3] = 254
        case "odd":
            picture = flat(B, 15)
        case "small":
            picture = flat(B, 6)
        case "other size":
            picture = flat(B, 32)
        case "same name":
            (folder / "more").mkdir()
            grass = folder / "more" / "water.png"
    if kind != "absent":
        Image.fromarray(picture).save(grass)
    return water, grass


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        ("absent", "none.png"), ("holes", "not opaque"), ("odd", "15x15"), ("small", "6x6"),
        ("other size", "one size"), ("same name", "both terrains"),
    ],
)  # fmt: skip
def test_terrains_that_do_not_fit_are_named(kind: str, part: str, tmp_path: Path) -> None:
    water, grass = broken(tmp_path, kind)
    with pytest.raises(InputError, match=part):
        export_tileset(water, grass, tmp_path / "out", TilesetConfig())
    assert not (tmp_path / "out").exists()


def test_a_set_that_needs_two_pages_is_refused(tmp_path: Path) -> None:
    water, grass = terrains(tmp_path)
    with pytest.raises(InputError, match="one page of 64"):
        export_tileset(water, grass, tmp_path / "out", TilesetConfig(size_px=64))
