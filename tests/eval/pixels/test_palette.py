from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.pixels.batch import Batch
from eval.pixels.palette import (
    DIRECTIONS,
    NUM_COLOURS,
    PaletteReference,
    measure_palette,
    set_palette_distance,
    sliced_distance,
)

EVEN = 0.01
"""How far the mean over 96 directions may be from that over all."""


def flat(*rgb: int, side: int = 8) -> np.ndarray:  # type: ignore[type-arg]
    return np.full((side, side, 4), (*rgb, 255), dtype=np.uint8)


def distance(image: np.ndarray, reference: PaletteReference) -> float:  # type: ignore[type-arg]
    found = measure_palette(Batch.of([image]), reference=reference)
    return float(found["palette_distance_oklab"][0])


def test_directions_are_even() -> None:
    ways = np.random.default_rng(0).normal(size=(3, 2000))
    ways /= np.linalg.norm(ways, axis=0)
    assert np.linalg.norm(DIRECTIONS, axis=0) == pytest.approx(1.0)
    assert 2 * np.abs(DIRECTIONS.T @ ways).mean(axis=0) == pytest.approx(1.0, abs=EVEN)


clouds = st.integers(0, 2**32 - 1).map(
    lambda seed: np.random.default_rng(seed).uniform(-0.4, 1.0, (2, 5, 3))
)


@settings(max_examples=30, deadline=None)
@given(clouds)
def test_it_is_a_distance_and_at_most_the_earth_movers(pair: np.ndarray) -> None:  # type: ignore[type-arg]
    """Between equal shares the earth mover's is the cheapest of all assignments (Birkhoff)."""
    left, right = pair
    share = np.full(5, 0.2)
    cost = np.linalg.norm(left[:, None] - right[None], axis=2)
    exact = min(sum(cost[i, j] for i, j in enumerate(p)) for p in permutations(range(5))) / 5
    found = sliced_distance(left, share, right, share)
    assert 0 < found <= exact * (1 + EVEN)
    assert found == pytest.approx(sliced_distance(right, share, left, share))
    assert sliced_distance(left, share, left, share) == pytest.approx(0.0, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(clouds)
def test_a_palette_moved_lies_as_far_as_it_was_moved(pair: np.ndarray) -> None:  # type: ignore[type-arg]
    left, move = pair[0], pair[1, 0]
    share = np.array([0.5, 0.2, 0.1, 0.1, 0.1])
    found = sliced_distance(left, share, left + move, share)
    assert found == pytest.approx(np.linalg.norm(move), rel=EVEN)


def test_area_counts() -> None:
    """A quarter of the picture has to be moved from white to black: OKLab 1 apart."""
    reference = PaletteReference.of([flat(0, 0, 0)])
    image = flat(0, 0, 0)
    image[:4, :4, :3] = 255
    assert distance(image, reference) == pytest.approx(0.25, rel=EVEN)
    assert distance(flat(0, 0, 0), reference) == 0.0
    image[:4, :4, 3] = 0
    assert distance(image, reference) == 0.0
    image[..., 3] = 0
    assert np.isnan(distance(image, reference))


def test_where_pixels_lie_and_the_order_of_pictures_do_not_matter(
    sprites: list[np.ndarray],  # type: ignore[type-arg]
) -> None:
    reference = PaletteReference.of(sprites)
    shuffled = np.random.default_rng(1).permutation(sprites[0].reshape(-1, 4)).reshape(32, 32, 4)
    assert distance(shuffled, reference) == pytest.approx(distance(sprites[0], reference))
    turned = PaletteReference.of(sprites[::-1])
    assert np.array_equal(turned.lab_K3, reference.lab_K3)
    assert turned.share_K == pytest.approx(reference.share_K)
    assert reference.share_K.sum() == pytest.approx(1.0)
    assert len(reference.lab_K3) <= NUM_COLOURS


def test_another_palette_is_farther(sprites: list[np.ndarray]) -> None:  # type: ignore[type-arg]
    """Channels traded: each picture keeps its shapes, and its colours leave the data set's."""
    reference = PaletteReference.of(sprites)
    groups = [str(i) for i in range(len(sprites))]
    swapped = [np.ascontiguousarray(sprite[..., [2, 0, 1, 3]]) for sprite in sprites]
    own = set_palette_distance(sprites, groups, reference)
    other = set_palette_distance(swapped, groups, reference)
    assert own.value == pytest.approx(0.0, abs=1e-3)
    assert own.value < other.low <= other.value <= other.high
    assert other == set_palette_distance(swapped[::-1], groups[::-1], reference)
    assert np.isnan(set_palette_distance(sprites[:3], groups[:3], reference).low)


def test_a_data_set_must_show_something() -> None:
    with pytest.raises(ValueError, match="nothing is visible"):
        PaletteReference.of([np.zeros((8, 8, 4), dtype=np.uint8)])
