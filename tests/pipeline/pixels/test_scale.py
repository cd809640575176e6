from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.pixels.scale import Scaler, enlarge

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
images = arrays(
    np.uint8,
    st.tuples(st.integers(1, 7), st.integers(1, 7), st.sampled_from([3, 4])),
    elements=st.sampled_from([0, 255]),
)


def colours(image: Pixels) -> set[bytes]:
    return {bytes(pixel) for row in image for pixel in row}


@given(images, st.integers(1, 5))
def test_nearest_is_undone_by_picking(image: Pixels, factor: int) -> None:
    big = enlarge(image, factor)
    for shift in range(factor):
        assert np.array_equal(big[shift::factor, shift::factor], image)


@given(images)
def test_scale2x_makes_no_colour_and_does_not_care_which_way_is_up(image: Pixels) -> None:
    if image.shape[2] == 4:
        image[image[..., 3] == 0] = 0
    big = enlarge(image, 2, Scaler.scale2x)
    assert big.shape == (2 * image.shape[0], 2 * image.shape[1], image.shape[2])
    assert colours(big) <= colours(image)
    for turn in (np.flipud, np.fliplr, lambda x: x.transpose(1, 0, 2)):
        assert np.array_equal(enlarge(turn(image), 2, Scaler.scale2x), turn(big))
    assert np.array_equal(enlarge(image, 4, Scaler.scale2x), enlarge(big, 2, Scaler.scale2x))


def test_scale2x_rounds_a_diagonal_as_its_author_draws_it() -> None:
    steps = np.eye(6, dtype=np.uint8)[..., None].repeat(3, axis=2) * 255
    big = enlarge(steps, 2, Scaler.scale2x)[..., 0] // 255
    row, column = np.indices(big.shape)
    # At the corners of the picture the diagonal ends, and its end is rounded too.
    assert np.array_equal(big[2:-2, 2:-2], (abs(row - column) <= 1)[2:-2, 2:-2])


def test_transparent_pixels_are_one_colour_to_scale2x() -> None:
    image = np.zeros((3, 3, 4), dtype=np.uint8)
    image[1, 1] = 255
    odd = image.copy()
    odd[0, 1, :3], odd[1, 0, :3] = 90, 120
    pair = (enlarge(one, 2, Scaler.scale2x)[..., 3] for one in (image, odd))
    assert np.array_equal(*pair)


@pytest.mark.parametrize(("factor", "scaler"), [(0, Scaler.nearest), (3, Scaler.scale2x)])
def test_a_factor_that_cannot_be(factor: int, scaler: Scaler) -> None:
    with pytest.raises(ValueError, match=f"enlarge: {factor}"):
        enlarge(np.zeros((2, 2, 3), dtype=np.uint8), factor, scaler)
