from collections.abc import Callable

import numpy as np
import pytest

from eval.pixels.batch import Batch
from eval.pixels.repeats import measure_grid, measure_tiles


def coherence(image: np.ndarray, native_size_px: int) -> float:  # type: ignore[type-arg]
    found = measure_grid(Batch.of([image]), native_size_px=native_size_px)
    return float(found["grid_coherence_share"][0])


def tile(image: np.ndarray) -> tuple[float, float]:  # type: ignore[type-arg]
    found = measure_tiles(Batch.of([image]))
    return float(found["seam_energy_oklab"][0]), float(found["tileability"][0])


def enlarged(image: np.ndarray, factor: int) -> np.ndarray:  # type: ignore[type-arg]
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


def test_an_enlarged_picture_holds_until_it_is_moved_or_blurred(
    sprites: list[np.ndarray],  # type: ignore[type-arg]
    blurred: Callable[[np.ndarray], np.ndarray],  # type: ignore[type-arg]
) -> None:
    for sprite in sprites:
        big = enlarged(sprite, 4)
        assert coherence(big, 32) == 1.0
        moved = np.roll(big, (1, 1), axis=(0, 1))
        farther = np.roll(big, (2, 2), axis=(0, 1))
        assert coherence(farther, 32) < coherence(moved, 32) < 1.0
        assert coherence(blurred(big), 32) < 1.0
        assert coherence(big, 16) < 1.0, "cells of the wrong size hold several colours"


def test_one_wrong_pixel_of_a_cell() -> None:
    image = enlarged(np.full((8, 8, 4), 255, dtype=np.uint8), 3)
    image[4, 4, :3] = 0
    assert coherence(image, 8) == pytest.approx(1 - 1 / 24**2)
    image[7, 7] = 0
    assert coherence(image, 8) == pytest.approx(1 - 2 / 24**2), "a hole in a figure is one as well"


def test_hidden_colours_of_a_cell_have_no_vote() -> None:
    image = np.zeros((16, 16, 4), dtype=np.uint8)
    image[:2, 0] = (250, 250, 250, 255)
    assert coherence(image, 8) == pytest.approx(1 - 2 / 256)


def test_where_a_grid_says_nothing() -> None:
    image = np.zeros((8, 8, 4), dtype=np.uint8)
    assert np.isnan(coherence(image, 8))
    assert coherence(image, 5) == 0.0
    assert coherence(enlarged(image[:4], 2), 8) == 1.0, "the native side is the longer one's"


def test_a_seam_by_hand() -> None:
    """Black then white: 1 across the border and at one of seven places inside; rows all alike."""
    image = np.full((8, 8, 4), 255, dtype=np.uint8)
    image[:, :4, :3] = 0
    energy, tileability = tile(image)
    assert energy == pytest.approx(0.5, abs=1e-3)
    assert tileability == pytest.approx(1 / 7)
    assert tile(np.full((8, 8, 4), 77, dtype=np.uint8)) == (0.0, 1.0)


def test_a_ramp_shows_its_seam_until_it_is_hidden_inside() -> None:
    ramp = np.full((16, 16, 4), 255, dtype=np.uint8)
    ramp[..., :3] = (np.arange(16) * 16).astype(np.uint8)[None, :, None]
    rolled = np.roll(ramp, 8, axis=1)
    assert tile(ramp)[0] > tile(rolled)[0]
    assert tile(ramp)[1] < 0.1 < tile(rolled)[1] == 1.0


def test_a_seam_put_into_a_tile_is_found(tiles: list[np.ndarray]) -> None:  # type: ignore[type-arg]
    for image in tiles:
        cut = image.copy()
        cut[:, 0, :3] = image[:, -1, :3] + np.uint8(128)
        assert tile(cut)[0] > tile(image)[0]
        assert tile(cut)[1] < tile(image)[1]
