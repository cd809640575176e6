"""SSIM, PSNR and mean squared error of many pairs: colour on grey, and alpha apart.

Shape legend: N pairs.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from eval.batches import Picture, pairs
from eval.metric import MetricInfo, Scope
from eval.similarity import PEAK, over_ground, ssim_each
from eval.weights import Place

_SSIM = "mean of (2 mx my + C1)(2 sxy + C2) / ((mx^2 + my^2 + C1)(sx^2 + sy^2 + C2)) over windows"
_WANG = "Wang et al. 2004, IEEE TIP 13(4), eq. 13: Gaussian window of 11 px, sigma 1.5"
_PSNR = "10 log10(255^2 / mean squared error); infinite for the same picture"

METRICS = (
    MetricInfo(
        name="ssim",
        unit="",
        higher_is_better=True,
        scope=Scope.pair,
        formula=f"{_SSIM}; of colour",
        source=_WANG,
    ),
    MetricInfo(
        name="psnr_db",
        unit="dB",
        higher_is_better=True,
        scope=Scope.pair,
        formula=f"{_PSNR}; of colour",
        source="ITU-T J.340",
    ),
    MetricInfo(
        name="mse",
        unit="bytes squared",
        higher_is_better=False,
        scope=Scope.pair,
        formula="mean of squared differences of colour; over a set, PSNR is of the mean of this",
        source="closed form",
    ),
    MetricInfo(
        name="alpha_ssim",
        unit="",
        higher_is_better=True,
        scope=Scope.pair,
        formula=f"{_SSIM}; of alpha",
        source=_WANG,
    ),
    MetricInfo(
        name="alpha_psnr_db",
        unit="dB",
        higher_is_better=True,
        scope=Scope.pair,
        formula=f"{_PSNR}; of alpha",
        source="ITU-T J.340",
    ),
)


class PixelError:
    """Measures SSIM, PSNR and mean squared error at native size; always there."""

    def __init__(self, place: Place) -> None:
        """Take nothing of ``place``: arithmetic on the CPU needs no weights."""

    def __call__(
        self, left: Sequence[Picture], right: Sequence[Picture]
    ) -> dict[str, Float64[np.ndarray, " N"]]:
        """Return ``ssim``, ``psnr_db``, ``mse``, ``alpha_ssim`` and ``alpha_psnr_db`` of each pair.

        Raises:
            ValueError: The sequences are not equally long, or a pair's sizes differ.
        """
        found = {info.name: np.empty(len(left)) for info in METRICS}
        for indices, ones, others in pairs(left, right, at_least_px=1):
            one, other = (np.stack([over_ground(i) for i in side]) for side in (ones, others))
            found["ssim"][indices] = ssim_each(one, other)
            found["mse"][indices] = _mse(one, other)
            one, other = (np.stack(side)[..., 3:].astype(np.float64) for side in (ones, others))
            found["alpha_ssim"][indices] = ssim_each(one, other)
            found["alpha_psnr_db"][indices] = _psnr_db(_mse(one, other))
        found["psnr_db"] = _psnr_db(found["mse"])
        return found


def _mse(
    left: Float64[np.ndarray, "N H W C"], right: Float64[np.ndarray, "N H W C"]
) -> Float64[np.ndarray, " N"]:
    errors: Float64[np.ndarray, " N"] = np.square(left - right).mean(axis=(1, 2, 3))
    return errors


def _psnr_db(mse: Float64[np.ndarray, " N"]) -> Float64[np.ndarray, " N"]:
    with np.errstate(divide="ignore"):
        decibels: Float64[np.ndarray, " N"] = 10 * np.log10(PEAK**2 / mse)
    return decibels
