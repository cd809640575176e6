import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from eval.similarity import GROUND, compare, ssim, window_px


def textured(height: int, width: int) -> np.ndarray:  # type: ignore[type-arg]
    y, x, c = np.mgrid[:height, :width, :3]
    return ((7 * y * y + 13 * x * (c + 1) + x * y) % 256).astype(np.uint8)


def shaken(image: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    y, x, c = np.mgrid[: image.shape[0], : image.shape[1], :3]
    return np.clip(image + (5 * y + 11 * x + 3 * c) % 61 - 30.0, 0, 255).astype(np.uint8)


GOLDEN = {
    (24, 40): (0.9723688155939243, 23.45745676401565),
    (32, 32): (0.9727316899426235, 23.467988884056187),
    (11, 13): (0.9780567222805231, 23.651817827032385),
}


@pytest.mark.parametrize("size", GOLDEN)
def test_values_of_scikit_image(size: tuple[int, int]) -> None:
    """0.26.0: structural_similarity(win_size=11, gaussian_weights=True, sigma=1.5,
    use_sample_covariance=False, data_range=255), peak_signal_noise_ratio(data_range=255)."""
    image = textured(*size)
    found = compare(image, shaken(image))
    assert (found.ssim, found.psnr_db) == pytest.approx(GOLDEN[size], abs=1e-9)


def test_flat_pictures_by_hand() -> None:
    """Without variance SSIM is (2 x y + C1) / (x^2 + y^2 + C1)."""
    left, right = (np.full((16, 16, 3), value, dtype=np.uint8) for value in (50, 200))
    c1 = (0.01 * 255) ** 2
    found = compare(left, right)
    assert found.ssim == pytest.approx((2 * 50 * 200 + c1) / (50**2 + 200**2 + c1))
    assert found.mse == 150**2
    assert found.psnr_db == pytest.approx(20 * math.log10(255 / 150))


@pytest.mark.parametrize(
    ("size", "side"), [((32, 32), 11), ((10, 40), 9), ((8, 8), 7), ((1, 5), 1)]
)
def test_a_small_picture_has_a_small_window(size: tuple[int, int], side: int) -> None:
    image = textured(*size)
    assert compare(image, image).window_px == window_px(*size) == side
    assert compare(image, 255 - image).ssim < 1.0


@settings(max_examples=40)
@given(arrays(np.uint8, st.tuples(st.integers(3, 16), st.integers(3, 16), st.sampled_from([3, 4]))))
def test_a_picture_is_like_itself_and_the_order_does_not_matter(image: np.ndarray) -> None:  # type: ignore[type-arg]
    same = compare(image, image)
    assert same.ssim == pytest.approx(1.0)
    assert same.psnr_db == math.inf
    other = np.ascontiguousarray(image[::-1])
    there, back = compare(image, other), compare(other, image)
    assert there.ssim == pytest.approx(back.ssim)
    assert there.mse == back.mse
    assert -1.0 <= there.ssim <= 1.0 + 1e-12


def test_alpha_is_compared_apart() -> None:
    image = np.dstack([textured(16, 16), np.full((16, 16), 255, dtype=np.uint8)])
    hole = image.copy()
    hole[4:12, 4:12, :3], hole[4:12, 4:12, 3] = GROUND, 255
    through = hole.copy()
    through[4:12, 4:12, 3] = 0
    found = compare(hole, through)
    assert found.psnr_db == math.inf, "on its ground the hole does not show"
    assert found.alpha_psnr_db is not None
    assert found.alpha_psnr_db < 10
    assert compare(image, np.ascontiguousarray(image[..., :3])).alpha_psnr_db == math.inf
    assert compare(image[..., :3].copy(), image[..., :3].copy()).alpha_ssim is None


def test_sizes_must_fit() -> None:
    with pytest.raises(ValueError, match="sizes differ"):
        compare(textured(8, 8), textured(8, 9))
    assert ssim(textured(12, 12).astype(float), textured(12, 12).astype(float)) == pytest.approx(1)
