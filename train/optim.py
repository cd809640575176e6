"""AdamW, and its state as plain named tensors (nothing is pickled)."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from train.conf import OptimConfig

STATE_KEYS = ("exp_avg", "exp_avg_sq", "step")


def build_optimizer(named: Mapping[str, nn.Parameter], cfg: OptimConfig) -> torch.optim.AdamW:
    """Build AdamW over the named parameters, in their order."""
    return torch.optim.AdamW(
        list(named.values()),
        lr=cfg.lr,
        betas=(cfg.beta1, cfg.beta2),
        eps=cfg.eps,
        weight_decay=cfg.weight_decay,
        fused=True,
    )


def optimizer_tensors(
    optimizer: torch.optim.Optimizer, named: Mapping[str, nn.Parameter]
) -> dict[str, Tensor]:
    """Return the optimiser's state as ``<key>.<parameter>``; empty before the first step."""
    return {
        f"{key}.{name}": optimizer.state[parameter][key]
        for name, parameter in named.items()
        if parameter in optimizer.state
        for key in STATE_KEYS
    }


def load_optimizer_tensors(
    optimizer: torch.optim.Optimizer,
    named: Mapping[str, nn.Parameter],
    tensors: Mapping[str, Tensor],
) -> None:
    """Put back what ``optimizer_tensors`` returned, on each parameter's device."""
    for name, parameter in named.items():
        if f"step.{name}" in tensors:
            optimizer.state[parameter] = {
                key: tensors[f"{key}.{name}"].to(parameter.device).clone() for key in STATE_KEYS
            }
