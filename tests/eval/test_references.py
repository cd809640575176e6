"""Own formulas against the libraries that have them, where those are installed."""

import numpy as np
import pytest
import torch

from eval.frechet import frechet
from eval.kernel import Sample, kernel_distances
from eval.pixel_error import PixelError
from eval.weights import Place
from tests.fakes.changes import blurred, noised

RNG = np.random.default_rng(0)
PICTURES = [RNG.integers(0, 256, (side, side + 4, 4), dtype=np.uint8) for side in (16, 32, 40)]
for _picture in PICTURES:
    _picture[..., 3] = 255
CHANGED = [noised(PICTURES[0], 20), blurred(PICTURES[1], 2), noised(PICTURES[2], 4)]


def test_ssim_and_psnr_of_scikit_image() -> None:
    metrics = pytest.importorskip("skimage.metrics")
    found = PixelError(Place())(PICTURES, CHANGED)
    for i, (left, right) in enumerate(zip(PICTURES, CHANGED, strict=True)):
        one, other = left[..., :3], right[..., :3]
        ssim = metrics.structural_similarity(
            one,
            other,
            win_size=11,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=255,
            channel_axis=2,
        )
        psnr = metrics.peak_signal_noise_ratio(one, other, data_range=255)
        assert (found["ssim"][i], found["psnr_db"][i]) == pytest.approx((ssim, psnr), abs=1e-9)


def test_ssim_and_psnr_of_torchmetrics() -> None:
    image = pytest.importorskip("torchmetrics.functional.image")
    found = PixelError(Place())(PICTURES, CHANGED)
    for i, pair in enumerate(zip(PICTURES, CHANGED, strict=True)):
        left, right = (
            torch.from_numpy(side[..., :3].copy()).permute(2, 0, 1)[None].double() for side in pair
        )
        # Theirs averages a mirrored border too; the paper's mean is of what lies wholly inside.
        _, places = image.structural_similarity_index_measure(
            left, right, data_range=255.0, sigma=1.5, return_full_image=True
        )
        ssim = places[..., 5:-5, 5:-5].mean()
        psnr = image.peak_signal_noise_ratio(left, right, data_range=255.0)
        assert found["ssim"][i] == pytest.approx(float(ssim), abs=1e-6)
        assert found["psnr_db"][i] == pytest.approx(float(psnr), abs=1e-4)


def features(count: int, *, mean: float, seed: int) -> np.ndarray:  # type: ignore[type-arg]
    mix = np.random.default_rng(9).normal(size=(12, 12))
    return np.random.default_rng(seed).normal(mean, 1.0, (count, 12)) @ mix


def test_kid_of_torchmetrics() -> None:
    kid = pytest.importorskip("torchmetrics.image.kid")
    # Theirs takes sets of one size.
    left, right = features(290, mean=0.0, seed=1), features(290, mean=0.2, seed=2)
    samples = [Sample(side, [str(i) for i in range(len(side))]) for side in (left, right)]
    found = kernel_distances({"it": samples[0]}, samples[1])["it"].value
    expected = float(kid.poly_mmd(torch.from_numpy(left), torch.from_numpy(right)))
    assert found == pytest.approx(expected, rel=1e-9)


def test_fid_of_torchmetrics() -> None:
    fid = pytest.importorskip("torchmetrics.image.fid")
    sides = [features(300, mean=0.0, seed=1), features(250, mean=0.2, seed=2)]
    gaussians = [torch.from_numpy(part) for s in sides for part in (s.mean(0), np.cov(s.T))]
    expected = float(fid._compute_fid(*gaussians))
    assert frechet(*sides) == pytest.approx(expected, rel=1e-6)
