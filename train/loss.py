"""What the network is asked for, and how errors are weighed over noise levels.

Shape legend: B batch, C channels, H W height width. ``alpha_bar`` is the product of alphas to a
timestep: x = sqrt(alpha_bar) x0 + sqrt(1 - alpha_bar) eps (Ho et al. 2020, arXiv 2006.11239).
"""

import torch
from jaxtyping import Float
from torch import Tensor

from train.conf import LossConfig, Weighting


def add_noise(
    x0_BCHW: Float[Tensor, "B C H W"],
    eps_BCHW: Float[Tensor, "B C H W"],
    alpha_bar_B: Float[Tensor, " B"],
) -> Float[Tensor, "B C H W"]:
    """Mix clean latents with noise."""
    signal, noise = _mix(alpha_bar_B)
    return signal * x0_BCHW + noise * eps_BCHW


def training_target(
    prediction: str,
    x0_BCHW: Float[Tensor, "B C H W"],
    eps_BCHW: Float[Tensor, "B C H W"],
    alpha_bar_B: Float[Tensor, " B"],
) -> Float[Tensor, "B C H W"]:
    """Return what the network should answer.

    Args:
        prediction: ``epsilon``, ``x0`` or ``v`` (Salimans and Ho 2022, arXiv 2202.00512, app. D).
        x0_BCHW: Clean latents.
        eps_BCHW: Unit noise.
        alpha_bar_B: Signal share in variance, (0, 1].
    """
    if prediction == "epsilon":
        return eps_BCHW
    if prediction == "x0":
        return x0_BCHW
    signal, noise = _mix(alpha_bar_B)
    return signal * eps_BCHW - noise * x0_BCHW


def level_weight(
    prediction: str, alpha_bar_B: Float[Tensor, " B"], cfg: LossConfig
) -> Float[Tensor, " B"]:
    """Weigh a squared error by its noise level, so that it counts alike whatever is predicted.

    A squared error of epsilon is SNR times the one of x0 it amounts to, one of v is SNR + 1 times.

    Args:
        prediction: ``epsilon``, ``x0`` or ``v``.
        alpha_bar_B: Signal share in variance, (0, 1); from 0 where all levels count alike.
        cfg: Which weighting. In x0, ``min_snr`` counts min(SNR, gamma) (arXiv 2303.09556, Eq. 8)
            and ``debiased`` sqrt(SNR), which is 1 / sqrt(SNR) in epsilon (arXiv 2310.08442).
    """
    is_min_snr = cfg.weighting is Weighting.min_snr
    if cfg.weighting is Weighting.none or (is_min_snr and cfg.min_snr_gamma == 0):
        return torch.ones_like(alpha_bar_B)
    snr_B = alpha_bar_B / (1 - alpha_bar_B)
    in_x0_B = snr_B.clamp(max=cfg.min_snr_gamma) if is_min_snr else snr_B.sqrt()
    divisor = {"epsilon": snr_B, "x0": torch.ones_like(snr_B), "v": snr_B + 1}
    return in_x0_B / divisor[prediction]


def sample_error(
    answer_BCHW: Float[Tensor, "B C H W"],
    target_BCHW: Float[Tensor, "B C H W"],
    weights_BCHW: Float[Tensor, "B _ H W"] | None,
) -> Float[Tensor, " B"]:
    """Return each sample's mean squared error; with weights, their weighted mean.

    Weights broadcast over channels, and are divided by their sum: a small sprite teaches as much
    as a large one. A sample without any weight counts nothing.
    """
    error_BCHW = (answer_BCHW.float() - target_BCHW).square()
    if weights_BCHW is None:
        return error_BCHW.mean(dim=(1, 2, 3))
    total_B = weights_BCHW.expand_as(error_BCHW).sum(dim=(1, 2, 3))
    weighted_B = (error_BCHW * weights_BCHW).sum(dim=(1, 2, 3))
    return weighted_B / total_B.clamp(min=torch.finfo(total_B.dtype).tiny)


def _mix(alpha_bar_B: Tensor) -> tuple[Tensor, Tensor]:
    alpha_bar_B111 = alpha_bar_B.reshape(-1, 1, 1, 1)
    return alpha_bar_B111.sqrt(), (1 - alpha_bar_B111).sqrt()
