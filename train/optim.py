"""The optimiser, and its state as plain named tensors and numbers (nothing is pickled)."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.core.errors import InputError
from pipeline.models.lora import by_pattern
from train.conf import OptimConfig, OptimizerName

RATE_FACTOR = "rate_factor"
"""In a group of parameters: what its rate is of the schedule's."""
SECOND_FACTOR = ".lora_B."
GROUP_NUMBERS = ("d", "d_max", "d_hat", "d_numerator", "d_denom", "k")
"""What Prodigy keeps of its own in the groups, the same in each."""
TABLES = ("qmap1", "qmap2")
PACKAGES = {"prodigyopt": "prodigyopt==1.1.2", "bitsandbytes": "bitsandbytes==0.50.2"}


def build_optimizer(
    named: Mapping[str, nn.Parameter], cfg: OptimConfig, *, lr_ratio_b: float = 1.0
) -> torch.optim.Optimizer:
    """Build the optimiser over the named parameters, one group for each rate, in their order.

    Args:
        named: What is trained.
        cfg: Which optimiser.
        lr_ratio_b: Rate of adapters' second factors over that of their first (LoRA+).

    Raises:
        InputError: A pattern of ``lr_pattern`` fits nothing, or the optimiser's package is not
            there.
    """
    factors = by_pattern("optim.lr_pattern", cfg.lr_pattern, named)
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in named.items():
        factor = factors.get(name, 1.0) * (lr_ratio_b if SECOND_FACTOR in name else 1.0)
        groups.setdefault(factor, []).append(parameter)
    params = [{"params": group, RATE_FACTOR: factor} for factor, group in groups.items()]
    settings: dict[str, Any] = {
        "lr": cfg.lr,
        "betas": (cfg.beta1, cfg.beta2),
        "eps": cfg.eps,
        "weight_decay": cfg.weight_decay,
    }
    optimizer: torch.optim.Optimizer
    if cfg.name is OptimizerName.prodigy:
        # What its authors advise for diffusion models and for a rate that warms up.
        advised = {"use_bias_correction": True, "safeguard_warmup": True}
        optimizer = _package("prodigyopt", cfg).Prodigy(params, **settings, **advised)
    elif cfg.name is OptimizerName.adamw8bit:
        optimizer = _package("bitsandbytes", cfg).optim.AdamW8bit(params, **settings)
    else:
        optimizer = torch.optim.AdamW(params, **settings, fused=True)
    return optimizer


def set_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Give each group its share of the schedule's rate."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group[RATE_FACTOR]


def optimizer_tensors(
    optimizer: torch.optim.Optimizer, named: Mapping[str, nn.Parameter]
) -> dict[str, Tensor]:
    """Return the optimiser's state as ``<key>.<parameter>``; empty before the first step."""
    # bitsandbytes shares its tables among parameters, and a file takes no tensor twice.
    return {
        f"{key}.{name}": value.clone() if key in TABLES else torch.as_tensor(value)
        for name, parameter in named.items()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def load_optimizer_tensors(
    optimizer: torch.optim.Optimizer,
    named: Mapping[str, nn.Parameter],
    tensors: Mapping[str, Tensor],
) -> None:
    """Put back what ``optimizer_tensors`` returned, on each parameter's device."""
    for full_name, tensor in tensors.items():
        key, _, name = full_name.partition(".")
        # Some optimisers count steps in a plain integer, and only in one.
        is_number = tensor.ndim == 0 and tensor.dtype == torch.int64
        value = int(tensor) if is_number else tensor.to(named[name].device).clone()
        optimizer.state.setdefault(named[name], {})[key] = value


def optimizer_numbers(optimizer: torch.optim.Optimizer) -> dict[str, float]:
    """Return what the optimiser keeps that belongs to no parameter."""
    group = optimizer.param_groups[0]
    return {key: group[key] for key in GROUP_NUMBERS if key in group}


def load_optimizer_numbers(optimizer: torch.optim.Optimizer, numbers: Mapping[str, float]) -> None:
    """Put back what ``optimizer_numbers`` returned."""
    for group in optimizer.param_groups:
        group.update(numbers)


def _package(name: str, cfg: OptimConfig) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise InputError(
            f"optim.name: {cfg.name.value} needs the package {name} ({error}); install it with "
            f"`pip install {PACKAGES[name]}`"
        ) from None
