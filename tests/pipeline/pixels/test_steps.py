from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.pixels.alpha import flood, harden, remove_background
from pipeline.pixels.cleanup import remove_orphans, thin_outlines
from pipeline.pixels.conf import BackgroundConfig, CleanupConfig, SeamConfig
from pipeline.pixels.seams import repair_seams, seam_scores

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
masks = arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12)))


@given(masks)
def test_the_flood_is_what_a_graph_reaches(mask: np.ndarray[Any, np.dtype[np.bool_]]) -> None:
    height, width = mask.shape
    graph = nx.grid_2d_graph(height, width)
    graph.remove_nodes_from([node for node in list(graph) if not mask[node]])
    reached = np.zeros_like(mask)
    for group in nx.connected_components(graph):
        if any(y in {0, height - 1} or x in {0, width - 1} for y, x in group):
            for node in group:
                reached[node] = True
    assert np.array_equal(flood(torch.from_numpy(mask)[None])[0].numpy(), reached)


def test_the_flood_never_enters_a_closed_outline() -> None:
    image = np.zeros((1, 16, 16, 4), dtype=np.uint8)
    image[..., :] = (90, 160, 90, 255)
    y, x = np.mgrid[:16, :16]
    # A diamond: its outline hangs together by corners only, and holds the ground's very colour.
    image[0, abs(y - 8) + abs(x - 8) == 5] = (20, 20, 30, 255)
    out, (found,) = remove_background(torch.from_numpy(image), BackgroundConfig(enabled=True))
    inside = torch.from_numpy(abs(y - 8) + abs(x - 8) <= 5)
    assert found.sure
    assert bool((out[0, ..., 3] > 0)[inside].all())
    assert not bool((out[0, ..., 3] > 0)[~inside].any())
    assert found.removed_px == int((~inside).sum())


def test_a_border_of_many_colours_is_left_alone() -> None:
    rng = np.random.Generator(np.random.Philox(key=6))
    noise = rng.integers(0, 256, (1, 16, 16, 4), dtype=np.uint8)
    noise[..., 3] = 255
    out, (found,) = remove_background(torch.from_numpy(noise), BackgroundConfig(enabled=True))
    assert not found.sure
    assert found.removed_px == 0
    assert torch.equal(out, torch.from_numpy(noise))


def test_a_cut_out_sprite_stays_cut_out(sprites: Pixels) -> None:
    images = torch.from_numpy(sprites)
    once, _ = remove_background(images, BackgroundConfig(enabled=True))
    again, found = remove_background(once, BackgroundConfig(enabled=True))
    assert torch.equal(again, once)
    assert all(one.removed_px == 0 for one in found)


@given(arrays(np.uint8, (2, 3, 3, 4)), st.integers(1, 255))
def test_alpha_becomes_hard_once(image: Pixels, threshold: int) -> None:
    images = torch.from_numpy(image)
    hard = harden(images, threshold=threshold)
    assert set(hard[..., 3].unique().tolist()) <= {0, 255}
    assert torch.equal(hard[..., 3] == 255, images[..., 3] >= threshold)
    assert torch.equal(harden(hard, threshold=threshold), hard)


def _surface(size: int = 9) -> Pixels:
    image = np.empty((1, size, size, 4), dtype=np.uint8)
    image[:] = (120, 120, 130, 255)
    return image


def test_stray_pixels_go_and_highlights_stay() -> None:
    image = _surface()
    image[0, 2, 2] = (140, 120, 130, 255)
    image[0, 2, 6] = (255, 255, 255, 255)
    image[0, 6, 2:4] = (140, 120, 130, 255)
    out = remove_orphans(torch.from_numpy(image), CleanupConfig(orphans=True)).numpy()
    assert out[0, 2, 2].tolist() == [120, 120, 130, 255]
    assert out[0, 2, 6].tolist() == [255, 255, 255, 255]
    assert np.array_equal(out[0, 6, 2:4], image[0, 6, 2:4])
    strong = CleanupConfig(orphans=True, orphan_max_step=1.0)
    mended = remove_orphans(torch.from_numpy(image), strong).numpy()
    assert mended[0, 2, 6].tolist() == [120, 120, 130, 255]


def test_lone_pixels_in_the_void_and_pinholes_go() -> None:
    image = np.zeros((1, 9, 9, 4), dtype=np.uint8)
    image[0, 4, 4] = (250, 240, 200, 255)
    out = remove_orphans(torch.from_numpy(image), CleanupConfig(orphans=True))
    assert not out.any()
    hole = _surface()
    hole[0, 4, 4] = 0
    out = remove_orphans(torch.from_numpy(hole), CleanupConfig(orphans=True))
    assert np.array_equal(out.numpy(), _surface())


def test_a_staircase_is_thinned_and_not_broken() -> None:
    image = np.zeros((1, 12, 12, 4), dtype=np.uint8)
    for step in range(1, 9):
        image[0, step, step : step + 2] = (20, 16, 30, 255)
    out = thin_outlines(torch.from_numpy(image), CleanupConfig(outline=True)).numpy()[0]
    left = {(int(y), int(x)) for y, x in np.argwhere(out[..., 3] > 0)}
    assert len(left) < int((image[..., 3] > 0).sum())
    graph = nx.Graph()
    graph.add_nodes_from(left)
    graph.add_edges_from(
        (a, b) for a in left for b in left if a < b and max(abs(a[0] - b[0]), abs(a[1] - b[1])) == 1
    )
    assert nx.is_connected(graph)
    assert (1, 1) in left
    assert (8, 9) in left


def test_blocks_and_light_lines_are_not_thinned() -> None:
    thick = np.zeros((1, 8, 8, 4), dtype=np.uint8)
    thick[0, 2:6, 2:6] = (20, 16, 30, 255)
    light = np.zeros((1, 8, 8, 4), dtype=np.uint8)
    light[0, 2, 2:5] = light[0, 3, 4] = (240, 230, 200, 255)
    for image in (thick, light):
        out = thin_outlines(torch.from_numpy(image), CleanupConfig(outline=True))
        assert np.array_equal(out.numpy(), image)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 5), st.integers(0, 31), st.integers(0, 31))
def test_a_tile_rolled_on_the_torus_has_the_same_steps(number: int, down: int, right: int) -> None:
    """Rolling moves what was the border inside: a tile of one texture stays without a seam."""
    rng = np.random.Generator(np.random.Philox(key=number))
    tile = np.full((1, 32, 32, 4), 255, dtype=np.uint8)
    tile[..., :3] = rng.integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    images = torch.from_numpy(tile)
    rolled = images.roll((down, right), dims=(1, 2))
    assert float(seam_scores(images).max()) < 1.5
    assert float(seam_scores(rolled).max()) < 1.5
    assert torch.equal(repair_seams(rolled, SeamConfig(repair=True)), rolled)


def test_a_seam_is_seen_and_mended_with_the_tiles_own_colours() -> None:
    y, x = np.mgrid[:32, :32]
    rng = np.random.Generator(np.random.Philox(key=9))
    shade = (60 + 4 * x + 2 * y + rng.integers(0, 12, (32, 32))).astype(np.uint8)
    tile = np.stack([shade, shade // 2, 255 - shade, np.full_like(shade, 255)], axis=-1)[None]
    images = torch.from_numpy(tile)
    before = seam_scores(images)[0]
    mended = repair_seams(images, SeamConfig(repair=True))
    after = seam_scores(mended)[0]
    assert float(before.max()) > 4
    assert float(after.max()) < 0.5 * float(before.max())
    own = {tuple(c) for c in tile.reshape(-1, 4).tolist()}
    assert {tuple(c) for c in mended.reshape(-1, 4).tolist()} <= own
    rolled = repair_seams(images.expand(3, -1, -1, -1).contiguous(), SeamConfig(repair=True))
    assert all(torch.equal(one, mended[0]) for one in rolled)


@pytest.mark.parametrize("shape", [(1, 1), (1, 8), (3, 3), (4, 4), (5, 40)])
def test_steps_take_any_shape(shape: tuple[int, int]) -> None:
    rng = np.random.Generator(np.random.Philox(key=11))
    images = torch.from_numpy(rng.integers(0, 256, (2, *shape, 4), dtype=np.uint8))
    background, _ = remove_background(images, BackgroundConfig(enabled=True))
    for out in (
        background,
        harden(images, threshold=128),
        remove_orphans(images, CleanupConfig()),
        thin_outlines(images, CleanupConfig()),
        repair_seams(images, SeamConfig()),
    ):
        assert out.shape == images.shape
    assert bool(torch.isfinite(seam_scores(images)).all())
