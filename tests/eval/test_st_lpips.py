from pathlib import Path

import numpy as np
import pytest

from eval.metric import UnavailableError
from eval.st_lpips import WEIGHTS, StLpips
from eval.weights import Place
from tests.fakes.changes import Picture, blurred, noised, shifted, swapped


@pytest.fixture(scope="module")
def measure() -> StLpips:
    try:
        return StLpips(Place())
    except UnavailableError as error:
        pytest.skip(str(error))


def test_values_of_the_package(measure: StLpips) -> None:
    """stlpips-pytorch 0.0.2, LPIPS(net="alex", variant="shift_tolerant"), 64x64, run with torch
    2.14.1."""
    y, x, c = np.mgrid[:64, :64, :3]
    left = ((7 * y * y + 13 * x * (c + 1) + x * y) % 256).astype(np.uint8)
    right = np.clip(left + (5 * y + 11 * x + 3 * c) % 61 - 30.0, 0, 255).astype(np.uint8)
    ones, others = (left, left, right), (right, 255 - left, np.roll(right, 1, axis=1))
    opaque = np.full((64, 64, 1), 255, dtype=np.uint8)
    pictures = [[np.dstack([p, opaque]) for p in side] for side in (ones, others)]
    expected = [0.0067690350115299225, 0.04948746785521507, 0.014647313393652439]
    assert measure(*pictures)["st_lpips"] == pytest.approx(expected, rel=1e-5)


def test_what_is_worse_measures_worse(measure: StLpips, art: list[Picture]) -> None:
    def after(change: object) -> float:
        assert callable(change)
        return float(measure(art, [change(p) for p in art])["st_lpips"].mean())

    assert after(lambda p: p) == 0
    assert 0 < after(lambda p: noised(p, 8)) < after(lambda p: noised(p, 32))
    assert 0 < after(lambda p: blurred(p, 1)) < after(lambda p: blurred(p, 4))
    assert after(swapped) > after(lambda p: noised(p, 8))
    # What it is for: a shift by a pixel is next to nothing, whatever the pixels say.
    assert 0 < after(shifted) < 0.5 * min(after(swapped), after(lambda p: blurred(p, 1)))


def test_the_order_and_the_company_make_no_difference(measure: StLpips, art: list[Picture]) -> None:
    left, right = [*art[:3], art[3][:16, :16]], [*art[4:7], art[7][:16, :16]]
    there, back = measure(left, right)["st_lpips"], measure(right, left)["st_lpips"]
    assert there == pytest.approx(back, rel=1e-5)
    alone = [measure([a], [b])["st_lpips"][0] for a, b in zip(left, right, strict=True)]
    assert there == pytest.approx(np.array(alone), rel=1e-4)


def test_without_its_weights_it_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eval.st_lpips.PACKAGE", "no_such_package")
    with pytest.raises(UnavailableError, match="stlpips-pytorch==0.0.2"):
        StLpips(Place())
    (tmp_path / WEIGHTS.name).write_bytes(b"half a fi")
    with pytest.raises(UnavailableError, match=WEIGHTS.sha256):
        StLpips(Place(folder=tmp_path))
