"""LoRA adapters on a loaded model: attach new ones, name what is trained, find files of old ones.

peft does the layers; ``adapters`` loads what was trained.
"""

import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from pipeline.core.errors import InputError
from pipeline.models.adapter_kinds import peft_config
from pipeline.models.conf import FamilyName, LoraConfig, Targets
from pipeline.models.lora_files import WEIGHTS_NAME
from pipeline.models.protocol import LoadedModel

log = logging.getLogger(__name__)

V = TypeVar("V")

ATTENTION = re.compile(r"\.(to_q|to_k|to_v|to_out\.0)$")
TEXT_ATTENTION = re.compile(r"\.(q_proj|k_proj|v_proj|out_proj)$")


def attach(model: LoadedModel, cfg: LoraConfig, *, seed: int) -> None:
    """Put fresh adapters on the UNet, and on the text encoders when asked.

    Deterministic given ``seed``; torch's own generator is left as it was. The fresh adapter changes
    nothing until it is trained (its second factor is zero).

    Raises:
        InputError: A pattern of ``rank_pattern`` fits no layer.
    """
    targets = {
        name: unet_targets(module, cfg.targets) if name == "unet" else _text(model, name)
        for name, module in model.modules.items()
        if name == "unet" or cfg.text_encoder
    }
    layers = [f"{name}.{layer}" for name, found in targets.items() for layer in found]
    ranks = by_pattern("lora.rank_pattern", cfg.rank_pattern, layers)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        for name, names in targets.items():
            # peft takes them for expressions that fit the end of a name.
            own = {
                f"^{re.escape(layer)}": ranks[f"{name}.{layer}"]
                for layer in names
                if f"{name}.{layer}" in ranks
            }
            model.modules[name].add_adapter(peft_config(cfg, names, own))


def by_pattern(key: str, patterns: Mapping[str, V], names: Iterable[str]) -> dict[str, V]:
    """Return the values of the names that a pattern is found in; the last one that fits counts.

    Raises:
        InputError: A pattern fits no name.
    """
    names = list(names)
    found: dict[str, V] = {}
    for pattern, value in patterns.items():
        fits = [name for name in names if re.search(pattern, name)]
        if not fits:
            raise InputError(f"{key}: {pattern!r} fits no name; one of them is {names[0]}")
        found |= dict.fromkeys(fits, value)
    return found


def unet_targets(unet: nn.Module, targets: Targets) -> list[str]:
    """Return the full names of the UNet layers that get an adapter, sorted."""
    names = []
    for name, module in unet.named_modules():
        linear = isinstance(module, nn.Linear)
        wanted = {
            Targets.attention: linear and ATTENTION.search(name) is not None,
            Targets.linear: linear and ".transformer_blocks." in name,
            Targets.all: linear or isinstance(module, nn.Conv2d),
        }
        if wanted[targets]:
            names.append(name)
    return sorted(names)


def _text(model: LoadedModel, name: str) -> list[str]:
    module = model.modules[name]
    names = [n for n, _ in module.named_modules() if TEXT_ATTENTION.search(n)]
    if model.family_name is FamilyName.sdxl and name == "text_encoder":
        # SDXL reads the penultimate state of the first encoder: its last layer gets no gradient,
        # which DDP would take for an error.
        last = f"layers.{module.config.num_hidden_layers - 1}."
        names = [n for n in names if last not in n]
    return sorted(names)


def trainable(model: LoadedModel) -> dict[str, nn.Parameter]:
    """Return what requires gradients, by ``<module>.<parameter>``, sorted by name."""
    found = {
        f"{prefix}.{name}": parameter
        for prefix, module in model.modules.items()
        for name, parameter in module.named_parameters()
        if parameter.requires_grad
    }
    return dict(sorted(found.items()))


def unfreeze(model: LoadedModel) -> None:
    """Make every weight of UNet and text encoders trainable (``adapter=full``)."""
    for module in model.modules.values():
        module.requires_grad_(requires_grad=True)


def resolve(path: Path) -> Path:
    """Return the LoRA file that ``path`` means: itself, or the one of a run folder.

    Raises:
        InputError: There is none.
    """
    for candidate in (path, path / WEIGHTS_NAME, path / "lora" / WEIGHTS_NAME):
        if candidate.is_file():
            if candidate.suffix != ".safetensors":
                raise InputError(
                    f"loras: {candidate} is not a .safetensors file; pickles are refused"
                )
            return candidate
    raise InputError(
        f"loras: {path} is neither a .safetensors file nor a run with lora/{WEIGHTS_NAME}"
    )
