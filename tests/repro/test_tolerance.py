"""What counts as the same picture, on the recorded ones."""

from itertools import combinations
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from repro.reference import read_reference
from repro.tolerance import SHARE, Pixels, differing_share

RECORDED = read_reference(Path("repro/reference")).pixels


def noisy(pixels: Pixels, levels: int, seed: int) -> Pixels:
    noise = np.random.default_rng(seed).integers(-levels, levels + 1, pixels.shape)
    return np.clip(pixels.astype(int) + noise, 0, 255).astype(np.uint8)


@given(
    seed=st.integers(0, 2**32),
    ground=st.tuples(*[st.integers(0, 255)] * 4),
    signs=st.tuples(*[st.sampled_from([-1, 0, 1])] * 4),
)
def test_one_level_is_never_a_difference(
    seed: int, ground: tuple[int, ...], signs: tuple[int, ...]
) -> None:
    """Not on any colour, alpha included; black is where a level is seen most."""
    plain = np.full((8, 8, 4), ground, np.uint8)
    shifted = np.clip(plain.astype(int) + signs, 0, 255).astype(np.uint8)
    assert differing_share(plain, shifted) == 0
    assert differing_share(plain, noisy(plain, 1, seed)) == 0


def test_two_levels_pass_on_every_recorded_picture() -> None:
    for number, pixels in enumerate(RECORDED):
        assert differing_share(pixels, pixels) == 0
        assert differing_share(pixels, noisy(pixels, 2, number)) <= SHARE / 5


def test_no_recorded_picture_passes_for_another() -> None:
    assert min(differing_share(a, b) for a, b in combinations(RECORDED, 2)) > 5 * SHARE


def test_alpha_counts_whatever_the_colour_is() -> None:
    for grey in (0, 128, 255):
        seen = np.full((32, 32, 4), grey, np.uint8)
        seen[..., 3] = 255
        gone = seen.copy()
        gone[:, :16, 3] = 0
        assert differing_share(seen, gone) == 0.5


def test_what_is_transparent_may_have_any_colour() -> None:
    clear = np.zeros((32, 32, 4), np.uint8)
    other = clear.copy()
    other[..., :3] = 200
    assert differing_share(clear, other) == 0


def test_a_picture_of_another_size_differs_everywhere() -> None:
    assert differing_share(RECORDED[0], RECORDED[0][:16]) == 1
