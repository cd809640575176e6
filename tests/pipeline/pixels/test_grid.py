from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from pipeline.pixels.chain import Finisher
from pipeline.pixels.conf import CellColour, FinishConfig, GridConfig
from pipeline.pixels.grid import find_grids

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
GRID = FinishConfig(grid=GridConfig(enabled=True))
few = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@few
@given(st.integers(0, 17), st.integers(2, 14))
def test_any_whole_enlargement_is_undone_exactly(
    opaque: Pixels, enlarge: Callable[..., Pixels], number: int, scale: int
) -> None:
    native = opaque[number]
    (one,) = Finisher(GRID, native_size_px=32)(enlarge(native, scale)[None])
    assert one.record["grid"]["period_px"] == pytest.approx(scale, rel=0.01)
    assert np.array_equal(one.pixels, native)
    assert one.record["verdict"]["passes"]


@few
@given(st.integers(0, 17), st.floats(2.2, 14.0), st.floats(0, 0.45), st.floats(0, 0.45))
def test_any_fractional_enlargement_is_undone_exactly(
    opaque: Pixels,
    enlarge: Callable[..., Pixels],
    number: int,
    scale: float,
    cut_x: float,
    cut_y: float,
) -> None:
    native = opaque[number]
    big = enlarge(native, scale, cut_x=cut_x * scale, cut_y=cut_y * scale)
    (one,) = Finisher(GRID, native_size_px=32)(big[None])
    # Below four pixels a cell, rounding can hide the few edges of a brick wall; never is it wrong.
    if scale >= 4 or one.record["grid"]["found"] == "grid":
        assert one.record["grid"]["found"] == "grid"
        assert np.array_equal(one.pixels, native)
    else:
        assert np.array_equal(one.pixels, big)


@pytest.mark.parametrize("colour", CellColour)
def test_alpha_is_undone_with_the_colours(
    sprites: Pixels, enlarge: Callable[..., Pixels], colour: CellColour
) -> None:
    cfg = FinishConfig(grid=GridConfig(enabled=True, colour=colour))
    big = np.stack([enlarge(sprite, 7.3) for sprite in sprites])
    for one, native in zip(Finisher(cfg, native_size_px=32)(big), sprites, strict=True):
        assert np.array_equal(one.pixels, native)


def test_hidden_colours_make_no_grid() -> None:
    rng = np.random.Generator(np.random.Philox(key=1))
    hidden = np.zeros((128, 128, 4), dtype=np.uint8)
    hidden[..., :3] = np.kron(rng.integers(0, 256, (16, 16, 3)), np.ones((8, 8, 1)))
    assert find_grids(torch.from_numpy(hidden)[None], GridConfig()) == [None]


@pytest.mark.parametrize("scale", [7.3, 8.0, 12.0])
def test_blur_and_compression_leave_the_grid_to_be_found(
    opaque: Pixels,
    enlarge: Callable[..., Pixels],
    jpeg: Callable[[Pixels], Pixels],
    scale: float,
) -> None:
    for native in opaque:
        blurred = Image.fromarray(enlarge(native, scale)).filter(ImageFilter.GaussianBlur(1.0))
        big = jpeg(np.asarray(blurred))
        (grid,) = find_grids(torch.from_numpy(big.copy())[None], GridConfig(), native_size_px=32)
        assert grid is not None
        if grid.sure:
            assert grid.period_px == pytest.approx(scale, rel=0.01)
            for offset in (grid.offset_x_px, grid.offset_y_px):
                assert min(offset, grid.period_px - offset) < 0.2 * scale
    sure = find_grids(
        torch.stack([torch.from_numpy(enlarge(native, scale)) for native in opaque]), GridConfig()
    )
    assert all(grid is not None and grid.sure for grid in sure)


def _cloud(rng: np.random.Generator, size: int, power: float) -> Pixels:
    """Noise with the spectrum of photographs, 1/f^power."""
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None])
    frequency[0, 0] = 1
    planes = [
        np.fft.ifft2(np.fft.fft2(rng.normal(size=(size, size))) / frequency**power).real
        for _ in range(3)
    ]
    cloud = np.stack(planes, axis=-1)
    cloud = (cloud - cloud.mean()) / cloud.std() * 50 + 128
    return cloud.clip(0, 255).astype(np.uint8)


def _leaves(rng: np.random.Generator, size: int) -> Pixels:
    """Discs that hide one another: edges as photographs have them."""
    image = np.zeros((size, size, 3))
    y, x = np.mgrid[:size, :size]
    for _ in range(200):
        centre, radius = rng.random(2) * size, min(size / 3, 5 / np.sqrt(rng.random() + 0.002))
        disc = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < radius**2
        image[disc] = rng.integers(0, 256, 3) + 0.1 * (x[disc] - centre[0])[:, None]
    picture = Image.fromarray(image.clip(0, 255).astype(np.uint8))
    return np.asarray(picture.filter(ImageFilter.GaussianBlur(0.7)))


def _without_a_grid(size: int) -> dict[str, Pixels]:
    rng = np.random.Generator(np.random.Philox(key=size))
    ramp = np.broadcast_to(np.linspace(0, 255, size).astype(np.uint8), (size, size))
    return {
        "noise": rng.integers(0, 256, (size, size, 3), dtype=np.uint8),
        "flat": np.full((size, size, 3), 77, dtype=np.uint8),
        "gradient": np.stack([ramp, ramp.T, ramp], axis=-1),
        "leaves": _leaves(rng, size),
        **{f"cloud {power}": _cloud(rng, size, power) for power in (0.5, 1.0, 1.5, 2.0)},
    }


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("size", [64, 96, 256, 320])
def test_no_grid_is_seen_where_there_is_none(
    jpeg: Callable[[Pixels], Pixels], size: int, compressed: bool
) -> None:
    """Compression lays blocks of 8 over everything; they are no pixels."""
    finisher = Finisher(GRID, native_size_px=32)
    for name, picture in _without_a_grid(size).items():
        given = jpeg(picture) if compressed else picture
        (one,) = finisher(given[None])
        assert one.record["grid"]["found"] == "not sure", name
        assert np.array_equal(one.pixels, given)
        assert not one.record["verdict"]["grid_coherent"]["passes"]
        assert not one.record["verdict"]["passes"]


def test_an_expected_size_makes_no_grid(jpeg: Callable[[Pixels], Pixels]) -> None:
    for name, picture in _without_a_grid(256).items():
        grids = find_grids(
            torch.from_numpy(np.stack([picture, jpeg(picture)])), GridConfig(), native_size_px=32
        )
        assert not any(grid is not None and grid.sure for grid in grids), name


def test_a_native_picture_is_not_searched(opaque: Pixels) -> None:
    for one, native in zip(Finisher(GRID, native_size_px=32)(opaque), opaque, strict=True):
        assert one.record["grid"]["found"] == "native"
        assert np.array_equal(one.pixels, native)


def test_a_grid_of_another_native_size_fails_the_verdict(
    opaque: Pixels, enlarge: Callable[..., Pixels]
) -> None:
    (one,) = Finisher(GRID, native_size_px=24)(enlarge(opaque[0], 8)[None])
    assert one.pixels.shape == (32, 32, 3)
    assert not one.record["verdict"]["native_size"]["passes"]
    assert one.record["verdict"]["grid_coherent"]["passes"]


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (2, 3), (25, 400)])
def test_odd_shapes_pass_through(shape: tuple[int, int]) -> None:
    rng = np.random.Generator(np.random.Philox(key=3))
    picture = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    (one,) = Finisher(GRID, native_size_px=None)(picture[None])
    assert one.record["grid"]["found"] == "not sure"
