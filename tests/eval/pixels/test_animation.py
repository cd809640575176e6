import numpy as np
import pytest

from eval.pixels.animation import measure_flicker

STILL = np.full((8, 8, 4), 255, dtype=np.uint8)


def with_dot(column: int) -> np.ndarray:  # type: ignore[type-arg]
    frame = STILL.copy()
    frame[2, column, :3] = 0
    return frame


def flicker(*frames: np.ndarray, loops: bool = False) -> float:  # type: ignore[type-arg]
    return float(measure_flicker([frames], loops=loops)[0])


def test_a_pixel_that_comes_and_goes_flickers() -> None:
    assert flicker(STILL, with_dot(2), STILL) == pytest.approx(1 / 64)
    assert flicker(STILL, with_dot(2), STILL, STILL, loops=True) == pytest.approx(1 / 256)
    hole = STILL.copy()
    hole[2, 2, 3] = 0
    assert flicker(STILL, hole, STILL) == pytest.approx(1 / 64), "so does one that hides"


def test_change_that_stays_does_not() -> None:
    assert flicker(STILL, STILL, STILL, loops=True) == 0.0
    assert flicker(STILL, with_dot(2), with_dot(2)) == 0.0
    hidden = STILL.copy()
    hidden[..., 3] = 0
    other = hidden.copy()
    other[..., :3] = 9
    assert np.isnan(flicker(hidden, other, hidden)), "hidden colours are nothing"


def test_noise_in_every_frame_is_worse_than_in_one(sprites: list[np.ndarray]) -> None:  # type: ignore[type-arg]
    rng = np.random.default_rng(0)
    frames = [sprites[0].copy() for _ in range(8)]
    few = [frame.copy() for frame in frames]
    for number, frame in enumerate(frames):
        hit = rng.random((32, 32)) < 0.1
        frame[hit, :3] = 255 - frame[hit, :3]
        if number == 4:
            few[4] = frame.copy()
    found = measure_flicker([[sprites[0]] * 8, few, frames])
    assert 0.0 == found[0] < found[1] < found[2]


def test_two_frames_are_too_few() -> None:
    assert np.isnan(flicker(STILL, STILL))
    assert len(measure_flicker([])) == 0
