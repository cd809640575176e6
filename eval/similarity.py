"""How near one picture is to another: PSNR and SSIM.

SSIM is Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to
structural similarity", IEEE Transactions on Image Processing 13 (2004), with its own settings:
Gaussian window of 11 with a standard deviation of 1.5, constants 0.01 and 0.03, and only places
where the window lies wholly inside the picture. Channels are averaged. Own code, because the
libraries that have it bring SciPy or a training framework for two formulas; the tests hold it
against their values.

Shape legend: N pictures, H W height width, h w the same less a window, C channels, T weights of a
window.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, UInt8

PEAK = 255.0
WINDOW_PX = 11
SIGMA_PX = 1.5
C1 = (0.01 * PEAK) ** 2
C2 = (0.03 * PEAK) ** 2
GROUND = (128, 128, 128)
"""What transparent pixels are compared on; alpha is compared apart, so nothing hides on it."""

Image = UInt8[np.ndarray, "H W _"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Similarity:
    """Two pictures compared, colour over ``GROUND`` and alpha apart."""

    mse: float
    """Mean squared error of colour, bytes squared; averages over pictures are taken of this."""
    psnr_db: float
    """Of colour; infinite when it is the same."""
    ssim: float
    """Of colour, -1..1."""
    window_px: int
    """Side of SSIM's window: 11, or the largest odd side that fits a smaller picture."""
    alpha_psnr_db: float | None
    """Of alpha; None where neither picture has any."""
    alpha_ssim: float | None
    """Of alpha."""


def compare(left_HWC: Image, right_HWC: UInt8[np.ndarray, "K L _"]) -> Similarity:
    """Compare two pictures of one size, RGB or straight RGBA (RGB counts as opaque).

    Raises:
        ValueError: The sizes differ.
    """
    if left_HWC.shape[:2] != right_HWC.shape[:2]:
        raise ValueError(f"sizes differ: {left_HWC.shape[:2]} and {right_HWC.shape[:2]}")
    left, right = over_ground(left_HWC), over_ground(right_HWC)
    has_alpha = 4 in {left_HWC.shape[2], right_HWC.shape[2]}
    alphas = [_alpha(side) for side in (left_HWC, right_HWC)]
    error = mean_squared_error(left, right)
    return Similarity(
        mse=error,
        psnr_db=psnr_db(error),
        ssim=ssim(left, right),
        window_px=window_px(left_HWC.shape[0], left_HWC.shape[1]),
        alpha_psnr_db=psnr_db(mean_squared_error(*alphas)) if has_alpha else None,
        alpha_ssim=ssim(*alphas) if has_alpha else None,
    )


def over_ground(
    image_HWC: Image, ground: tuple[int, int, int] = GROUND
) -> Float64[np.ndarray, "H W 3"]:
    """Lay straight RGBA over a plain ground, not rounded; RGB stays as it is."""
    colour = image_HWC[..., :3].astype(np.float64)
    if image_HWC.shape[2] == 3:
        return colour
    share = image_HWC[..., 3:].astype(np.float64) / PEAK
    laid: np.ndarray[Any, np.dtype[np.float64]] = colour * share + np.array(ground) * (1 - share)
    return laid


def mean_squared_error(
    left: Float64[np.ndarray, "H W C"], right: Float64[np.ndarray, "H W C"]
) -> float:
    """Return the mean of squared differences over pixels and channels."""
    return float(np.mean((left - right) ** 2))


def psnr_db(mse: float) -> float:
    """Return the peak signal-to-noise ratio of a mean squared error; infinite for 0."""
    return float("inf") if mse == 0 else float(10 * np.log10(PEAK**2 / mse))


def window_px(height: int, width: int) -> int:
    """Return the side of SSIM's window: 11, or the largest odd side that fits."""
    side = min(WINDOW_PX, height, width)
    return side - (side + 1) % 2


def ssim(left: Float64[np.ndarray, "H W C"], right: Float64[np.ndarray, "H W C"]) -> float:
    """Return the mean structural similarity (Eq. 13 of Wang et al. 2004), channels averaged.

    Values are bytes, 0..255. In a picture smaller than 11 px the window is cut to
    ``window_px`` and weighted anew, its standard deviation kept.
    """
    return float(ssim_each(left[None], right[None])[0])


def ssim_each(
    left: Float64[np.ndarray, "N H W C"], right: Float64[np.ndarray, "N H W C"]
) -> Float64[np.ndarray, " N"]:
    """Return ``ssim`` of each pair of pictures of one size."""
    taps = _taps(window_px(left.shape[1], left.shape[2]))
    # Pictures and channels last, so that one addition serves them all.
    x, y = (np.ascontiguousarray(np.moveaxis(side, 0, 2)) for side in (left, right))
    mean_x, mean_y = _weigh(x, taps), _weigh(y, taps)
    variance_x = _weigh(x**2, taps) - mean_x**2
    variance_y = _weigh(y**2, taps) - mean_y**2
    covariance = _weigh(x * y, taps) - mean_x * mean_y
    similar = (2 * mean_x * mean_y + C1) * (2 * covariance + C2)
    similar /= (mean_x**2 + mean_y**2 + C1) * (variance_x + variance_y + C2)
    means: Float64[np.ndarray, " N"] = similar.mean(axis=(0, 1, 3))
    return means


def _weigh(
    planes: Float64[np.ndarray, "H W N C"], taps: Float64[np.ndarray, " T"]
) -> Float64[np.ndarray, "h w N C"]:
    """Take the weighted mean of each window that lies wholly inside; rows, then columns."""
    for _ in range(2):
        rows = planes.shape[0] - len(taps) + 1
        total = taps[0] * planes[:rows]
        term = np.empty_like(total)
        for at, tap in enumerate(taps[1:], start=1):
            total += np.multiply(planes[at : at + rows], tap, out=term)
        planes = np.ascontiguousarray(np.swapaxes(total, 0, 1))
    return planes


def _taps(side: int) -> Float64[np.ndarray, " T"]:
    place = np.arange(side) - side // 2
    taps = np.exp(-(place**2) / (2 * SIGMA_PX**2))
    weights: np.ndarray[Any, np.dtype[np.float64]] = taps / taps.sum()
    return weights


def _alpha(image_HWC: Image) -> Float64[np.ndarray, "H W 1"]:
    if image_HWC.shape[2] == 4:
        return image_HWC[..., 3:].astype(np.float64)
    return np.full((*image_HWC.shape[:2], 1), PEAK)
