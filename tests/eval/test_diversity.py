import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.diversity import (
    HISTOGRAM_STEP,
    NUM_STEPS,
    distance_histogram,
    distance_quantiles,
    memorisation,
    near_duplicates,
)
from eval.neighbours import ROWS, nearest
from pipeline.generate.gates import looks_of


def drawn(count: int, *, seed: int) -> list[np.ndarray]:  # type: ignore[type-arg]
    rng = np.random.default_rng(seed)
    return list(rng.integers(0, 256, (count, 16, 16, 4)).astype(np.uint8))


def test_copies_are_found_and_fresh_art_is_not() -> None:
    train, held_out = drawn(40, seed=0), drawn(40, seed=1)
    fresh = memorisation(drawn(30, seed=2), held_out=held_out, train=train)
    assert fresh.num_exact_copies == 0
    assert fresh.nearer_than_held_out_share < 0.2
    near = [np.clip(image, 4, 251) for image in train[:10]]
    mirrored = [image[:, ::-1].copy() for image in train[10:15]]
    copied = memorisation([*near, *mirrored], held_out=held_out, train=train)
    assert copied.num_exact_copies == 5
    assert copied.nearer_than_held_out_share == 1.0
    assert copied.nearest_index.tolist() == list(range(15))


def test_the_share_is_counted_below_the_nearest_hundredth() -> None:
    """Of plain pictures of greys 0, 10, ..., against black, the distance is the grey's share."""

    def plain(grey: int) -> np.ndarray:  # type: ignore[type-arg]
        return np.full((8, 8, 4), (grey, grey, grey, 255), dtype=np.uint8)

    held_out = [plain(100 + i) for i in range(101)]
    found = memorisation(
        [plain(grey) for grey in (0, 50, 100, 102, 103)], held_out=held_out, train=[plain(0)]
    )
    # The hundredth is that of grey 101: below it are 0, 50 and 100.
    assert found.nearer_than_held_out_share == pytest.approx(3 / 5)
    assert found.drawn_rms[1] == pytest.approx(50 / 255 * math.sqrt(3 / 4))
    assert math.isnan(
        memorisation([plain(1)], held_out=[], train=[plain(0)]).nearer_than_held_out_share
    )


def test_training_art_must_be_there_and_fit() -> None:
    with pytest.raises(ValueError, match="0 of them"):
        memorisation(drawn(1, seed=0), held_out=[], train=[])
    with pytest.raises(ValueError, match="sizes"):
        memorisation(drawn(1, seed=0), held_out=[], train=[np.zeros((8, 8, 4), dtype=np.uint8)])


def test_more_images_than_a_block_have_the_same_neighbours() -> None:
    many, among = drawn(ROWS + 3, seed=3), drawn(9, seed=4)
    distances, indices = nearest(many, among)
    for number in (0, ROWS - 1, ROWS, ROWS + 2):
        alone, which = nearest([many[number]], among)
        assert (distances[number], indices[number]) == (pytest.approx(alone[0]), which[0])


def test_a_histogram_counts_everything() -> None:
    assert distance_histogram(np.array([0.0, 0.049, 0.051, 0.34, 0.36, 0.9])) == [
        2,
        1,
        0,
        0,
        0,
        0,
        1,
        2,
    ]
    assert distance_histogram(np.zeros(0)) == [0] * NUM_STEPS
    assert pytest.approx(0.4) == NUM_STEPS * HISTOGRAM_STEP


def test_quantiles_have_names() -> None:
    found = distance_quantiles(np.arange(101.0))
    assert found == {"p1": 1.0, "p10": 10.0, "p50": 50.0, "p90": 90.0}
    assert all(math.isnan(value) for value in distance_quantiles(np.zeros(0)).values())


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 150))
def test_twins_are_those_within_so_many_bits(seed: int, max_bits: int) -> None:
    images = drawn(12, seed=seed)
    images[7] = images[2].copy()
    hashes = [looks_of(image).hash for image in images]
    expected = [
        any(i != j and (one ^ other).bit_count() <= max_bits for j, other in enumerate(hashes))
        for i, one in enumerate(hashes)
    ]
    found = near_duplicates(images, max_bits=max_bits, max_rms=1.0)
    assert found.tolist() == expected
    assert found[2]
    assert found[7]
    assert near_duplicates(images[::-1], max_bits=max_bits, max_rms=1.0).tolist() == expected[::-1]


def test_thin_figures_of_one_place_are_no_twins() -> None:
    def line(*rgb: int) -> np.ndarray:  # type: ignore[type-arg]
        image = np.zeros((32, 32, 4), dtype=np.uint8)
        image[4:28, 16] = (*rgb, 255)
        return image

    white, grey = line(220, 220, 220), line(110, 110, 110)
    assert looks_of(white).hash == looks_of(grey).hash
    assert near_duplicates([white, grey]).tolist() == [False, False]
    nudged = line(220, 220, 215)
    assert near_duplicates([white, grey, nudged]).tolist() == [True, False, True]
    longer = white.copy()
    longer[28, 16] = white[27, 16]
    # One of 25 pixels is there in one alone.
    rms = math.sqrt((3 * (220 / 255) ** 2 + 1) / 4 / 25)
    assert near_duplicates([white, longer], max_rms=rms + 1e-6).all()
    assert not near_duplicates([white, longer], max_rms=rms - 1e-6).any()
    hidden = np.zeros((32, 32, 4), dtype=np.uint8)
    assert near_duplicates([hidden, hidden.copy(), hidden[:16, :16]]).tolist() == [
        True,
        True,
        False,
    ]


def test_a_set_larger_than_a_block() -> None:
    images = drawn(ROWS + 8, seed=5)
    images[ROWS + 7] = images[0].copy()
    assert np.flatnonzero(near_duplicates(images)).tolist() == [0, ROWS + 7]
    assert near_duplicates([]).tolist() == []
