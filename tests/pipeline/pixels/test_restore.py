from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from pipeline.pixels.conf import PaletteConfig, PaletteName
from pipeline.pixels.restore import (
    Candidate,
    Cleaned,
    RestoreConfig,
    Restorer,
    choose_num_colours,
    is_better,
)

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def noisy(image: Pixels, sigma: float, *, seed: int = 0) -> Pixels:
    grain = np.random.default_rng(seed).normal(0, sigma, image.shape)
    return np.clip(image + grain, 0, 255).round().astype(np.uint8)


def error(image: Pixels | None, truth: Pixels) -> float:
    assert image is not None
    return float(np.mean((image.astype(float) - truth) ** 2))


@pytest.mark.parametrize("scale", [4.0, 8.0, 6.4])
def test_native_pixels_come_back_and_other_pictures_are_not_sure(
    opaque: Pixels, enlarge: Callable[..., Pixels], scale: float
) -> None:
    pictures = [enlarge(native, scale) for native in opaque]
    flat = np.full((96, 96, 3), 70, dtype=np.uint8)
    *found, last = Restorer(RestoreConfig())([*pictures, flat])
    assert all(
        one.native_KLC is not None and np.array_equal(one.native_KLC, native)
        for one, native in zip(found, opaque, strict=True)
    )
    assert last.native_KLC is None
    assert "no pixel grid" in last.why


def test_a_known_native_size_must_come_out(opaque: Pixels, enlarge: Callable[..., Pixels]) -> None:
    picture = enlarge(opaque[-1], 8.0)
    (right,) = Restorer(RestoreConfig(native_size_px=32))([picture])
    (wrong,) = Restorer(RestoreConfig(native_size_px=20))([picture])
    assert right.native_KLC is not None
    assert wrong.native_KLC is None
    assert "32 cells" in wrong.why


def test_the_number_of_colours_is_read_off_noise_and_only_off_noise(
    opaque: Pixels, enlarge: Callable[..., Pixels]
) -> None:
    clean = [enlarge(native, 8.0) for native in opaque]
    plain, auto = Restorer(RestoreConfig()), Restorer(RestoreConfig(auto_palette=True))
    for one, native in zip(auto(clean), opaque, strict=True):
        assert one.native_KLC is not None
        assert np.array_equal(one.native_KLC, native), "nothing to gain, so nothing is touched"
    grained = [noisy(image, 10, seed=i) for i, image in enumerate(clean)]
    pairs = [
        (error(one.native_KLC, native), error(other.native_KLC, native))
        for one, other, native in zip(plain(grained), auto(grained), opaque, strict=True)
        if one.native_KLC is not None and one.native_KLC.shape == native.shape
    ]
    assert len(pairs) >= len(opaque) // 2
    before, after = np.mean(pairs, axis=0)
    assert after < 0.8 * before


def test_as_many_colours_as_there_are() -> None:
    rng = np.random.default_rng(3)
    colours = np.array([[20, 20, 20], [200, 40, 40], [40, 200, 40], [60, 60, 220]] * 2, np.uint8)
    truth = colours[rng.integers(0, 4, (24, 24))]
    chosen = choose_num_colours((noisy(truth, 12, seed=1), noisy(truth, 12, seed=2)))
    assert chosen == 6, "the smallest that is tried"
    assert choose_num_colours((truth, truth)) is None


def test_a_change_is_better_only_if_the_other_half_says_so() -> None:
    truth = np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    first, second = noisy(truth, 20, seed=1), noisy(truth, 20, seed=2)
    assert is_better(truth, first, second)
    assert not is_better(255 - truth, first, second)
    assert not is_better(first, first, second)
    # What cannot be seen does not count.
    hidden = np.dstack([first, np.zeros((16, 16), dtype=np.uint8)])
    assert not is_better(truth, hidden, second)


def test_a_clean_up_gets_halves_and_its_answer_is_taken(
    opaque: Pixels, enlarge: Callable[..., Pixels]
) -> None:
    seen: list[Candidate] = []

    def invert(candidates: Sequence[Candidate]) -> list[Cleaned]:
        seen.extend(candidates)
        turned = [255 - one.native_KLC for one in candidates]
        return [Cleaned(native_KLC=one, proposed_KLC=one, kept=True) for one in turned]

    flat = np.full((96, 96, 3), 70, dtype=np.uint8)
    pictures = [flat, enlarge(opaque[0], 8.0), enlarge(opaque[1], 3.0)]
    found = Restorer(RestoreConfig(), clean_up=invert)(pictures, ["flat", "one", "two"])
    assert [one.caption for one in seen] == ["one", "two"]
    assert seen[0].halves is not None
    assert all(np.array_equal(half, opaque[0]) for half in seen[0].halves)
    assert seen[1].halves is None, "its cells are too small to be halved"
    assert found[1].native_KLC is not None
    assert np.array_equal(found[1].native_KLC, 255 - opaque[0])
    assert found[1].record["denoised"] is True
    assert found[0].native_KLC is None


def test_a_palette_is_kept_to(opaque: Pixels, enlarge: Callable[..., Pixels]) -> None:
    cfg = RestoreConfig(palette=PaletteConfig(name=PaletteName.pico8))
    (one,) = Restorer(cfg)([enlarge(opaque[0], 8.0)])
    assert one.native_KLC is not None
    assert len(np.unique(one.native_KLC.reshape(-1, 3), axis=0)) <= 16
    with pytest.raises(ValueError, match="beside auto"):
        RestoreConfig(auto_palette=True, palette=PaletteConfig(name=PaletteName.pico8))
