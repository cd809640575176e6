"""Turned hues keep ramps, the number of colours, greys and transparency."""

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pipeline.data.hue import LUMA, turn_colours, turn_hues

BYTES = st.integers(0, 255)
COLOURS = arrays.arrays(np.uint8, st.tuples(st.integers(1, 24), st.just(3)), elements=BYTES)
SPRITES = arrays.arrays(np.uint8, (4, 4, 4), elements=st.sampled_from([0, 1, 40, 128, 200, 255]))


@given(COLOURS, st.floats(0, 360))
def test_luma_stays_within_half_a_level(rgb: Any, angle: float) -> None:
    moved = turn_colours(rgb, angle).astype(float) @ LUMA - rgb @ LUMA
    assert np.abs(moved).max() <= 0.5 + 1e-6


@given(COLOURS, st.floats(0, 360))
def test_of_two_colours_a_level_apart_the_brighter_stays_the_brighter(
    rgb: Any, angle: float
) -> None:
    before, after = rgb @ LUMA, turn_colours(rgb, angle) @ LUMA
    apart = before[:, None] - before[None, :] > 1 + 1e-6
    assert (after[:, None] > after[None, :])[apart].all()


@given(COLOURS, st.floats(0, 360))
def test_a_colour_becomes_the_same_whatever_is_beside_it(rgb: Any, angle: float) -> None:
    together = turn_colours(rgb, angle)
    alone = np.concatenate([turn_colours(row[None], angle) for row in rgb])
    assert np.array_equal(together, alone)


def test_a_third_of_a_turn_takes_red_through_the_wheel() -> None:
    red = np.array([[200, 40, 40]], dtype=np.uint8)
    hues = [int(turn_colours(red, angle)[0].argmax()) for angle in (0.0, 120.0, 240.0)]
    assert set(hues) == {0, 1, 2}
    assert np.array_equal(turn_colours(red, 0.0), red)
    greys = np.array([[0, 0, 0], [7, 7, 7], [255, 255, 255]], dtype=np.uint8)
    assert np.array_equal(turn_colours(greys, 77.0), greys)


@settings(deadline=None)
@given(SPRITES, st.integers(0, 10**6))
def test_a_turned_sprite_keeps_its_palettes_size_and_its_transparency(
    rgba: Any, index: int
) -> None:
    before = rgba.copy()
    out = turn_hues(rgba, run_seed=1, index=index)
    assert np.array_equal(rgba, before)
    assert np.array_equal(out[..., 3], rgba[..., 3])
    seen = rgba[..., 3] > 0
    assert np.array_equal(out[~seen], rgba[~seen])
    pairs = {
        (tuple(a), tuple(b))
        for a, b in zip(rgba[seen][:, :3].tolist(), out[seen][:, :3].tolist(), strict=True)
    }
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
    assert np.array_equal(out, turn_hues(rgba, run_seed=1, index=index))


def test_positions_turn_by_different_angles() -> None:
    rgba = np.array([[[200, 40, 40, 255], [120, 10, 20, 255]]], dtype=np.uint8)
    outs = {turn_hues(rgba, run_seed=1, index=i).tobytes() for i in range(50)}
    assert len(outs) > 40
