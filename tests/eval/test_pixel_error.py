import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from eval.pixel_error import METRICS, PixelError
from eval.similarity import compare
from eval.weights import Place
from tests.fakes.changes import Picture, blurred, noised, shifted, swapped

measure = PixelError(Place())


def pictures(count: int) -> st.SearchStrategy[list[Picture]]:
    sides = st.tuples(st.sampled_from([8, 9, 16]), st.sampled_from([8, 12]), st.just(4))
    return st.lists(arrays(np.uint8, sides), min_size=count, max_size=count)


@settings(max_examples=30, deadline=None)
@given(pictures(5))
def test_many_pairs_are_as_one_by_one(left: list[Picture]) -> None:
    right = [np.ascontiguousarray(picture[::-1]) for picture in left]
    found = measure(left, right)
    assert set(found) == {info.name for info in METRICS}
    for i, one in enumerate(compare(*pair) for pair in zip(left, right, strict=True)):
        told = (one.ssim, one.psnr_db, one.mse, one.alpha_ssim, one.alpha_psnr_db)
        names = ("ssim", "psnr_db", "mse", "alpha_ssim", "alpha_psnr_db")
        assert [found[name][i] for name in names] == pytest.approx(told, rel=1e-9, abs=1e-12)


def test_the_same_picture_is_the_best_there_is(art: list[Picture]) -> None:
    found = measure(art, art)
    assert found["ssim"] == pytest.approx(1.0)
    assert found["alpha_ssim"] == pytest.approx(1.0)
    assert not found["mse"].any()
    assert (found["psnr_db"] == math.inf).all()
    assert (found["alpha_psnr_db"] == math.inf).all()


def test_what_is_worse_measures_worse(art: list[Picture]) -> None:
    def after(change: object) -> dict[str, float]:
        assert callable(change)
        return {name: v.mean() for name, v in measure(art, [change(p) for p in art]).items()}

    for little, much in (
        (after(lambda p: noised(p, 8)), after(lambda p: noised(p, 32))),
        (after(lambda p: blurred(p, 1)), after(lambda p: blurred(p, 4))),
    ):
        assert 1 > little["ssim"] > much["ssim"]
        assert 0 < little["mse"] < much["mse"]
    swap, shift = after(swapped), after(shifted)
    assert swap["ssim"] < 1
    assert swap["alpha_ssim"] == pytest.approx(1.0), "a palette swap leaves alpha alone"
    # Pixel by pixel a shift is a large change; the learned distances see it otherwise.
    assert shift["mse"] > after(lambda p: noised(p, 8))["mse"]
    assert shift["ssim"] < after(lambda p: noised(p, 8))["ssim"]


def test_what_does_not_pair_is_refused(art: list[Picture]) -> None:
    with pytest.raises(ValueError, match="23"):
        measure(art, art[:23])
    with pytest.raises(ValueError, match="sizes differ"):
        measure(art[:1], [art[0][:16]])
    assert all(len(values) == 0 for values in measure([], []).values())
