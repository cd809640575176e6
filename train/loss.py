"""What the network is asked for, and how errors are weighed over noise levels.

Shape legend: B batch, C channels, H W height width. ``alpha_bar`` is the product of alphas to a
timestep: x = sqrt(alpha_bar) x0 + sqrt(1 - alpha_bar) eps (Ho et al. 2020, arXiv 2006.11239).
"""

import torch
from jaxtyping import Float
from torch import Tensor


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


def min_snr_weight(
    prediction: str, alpha_bar_B: Float[Tensor, " B"], gamma: float
) -> Float[Tensor, " B"]:
    """Weigh a squared error so that it counts min(SNR, gamma) in x0 (arXiv 2303.09556, Eq. 8).

    Args:
        prediction: ``epsilon``, ``x0`` or ``v``.
        alpha_bar_B: Signal share in variance, (0, 1).
        gamma: Clamp; 0 weighs all alike.
    """
    if gamma == 0:
        return torch.ones_like(alpha_bar_B)
    snr_B = alpha_bar_B / (1 - alpha_bar_B)
    clamped_B = snr_B.clamp(max=gamma)
    divisor = {"epsilon": snr_B, "x0": torch.ones_like(snr_B), "v": snr_B + 1}
    return clamped_B / divisor[prediction]


def _mix(alpha_bar_B: Tensor) -> tuple[Tensor, Tensor]:
    alpha_bar_B111 = alpha_bar_B.reshape(-1, 1, 1, 1)
    return alpha_bar_B111.sqrt(), (1 - alpha_bar_B111).sqrt()
