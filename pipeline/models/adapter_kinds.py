"""The kinds of adapters peft has, and loading those that diffusers' own loader does not know.

LoHa and LoKr files have the form of a LoRA's: tensors under ``unet.`` and what they were attached
with in the header. Other tools want LyCORIS' names, which nothing here reads back.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from peft import LoHaConfig, LoKrConfig, PeftConfig, set_peft_model_state_dict
from peft import LoraConfig as PeftLoraConfig
from safetensors.torch import load_file

from pipeline.core.errors import InputError
from pipeline.models.conf import LoraConfig, Method
from pipeline.models.lora_weights import ADAPTER_KEY
from pipeline.models.protocol import LoadedModel

LYCORIS = {Method.loha: LoHaConfig, Method.lokr: LoKrConfig}
KEPT = ("r", "alpha", "target_modules", "rank_pattern")


def peft_config(cfg: LoraConfig, layers: list[str], ranks: Mapping[str, int]) -> PeftConfig:
    """Return what peft attaches adapters to ``layers`` with.

    Args:
        cfg: Kind, rank, scale.
        layers: Full names of the layers.
        ranks: Ranks of those that have their own, by an expression that fits a name.
    """
    if cfg.method is Method.lora:
        return PeftLoraConfig(
            r=cfg.rank,
            lora_alpha=cfg.alpha,
            lora_dropout=cfg.dropout,
            use_rslora=cfg.rslora,
            use_dora=cfg.dora,
            target_modules=layers,
            rank_pattern=dict(ranks),
        )
    return LYCORIS[cfg.method](
        r=cfg.rank, alpha=cfg.alpha, target_modules=layers, rank_pattern=dict(ranks)
    )


def method_of(metadata: Mapping[str, str], *, file: Path) -> Method:
    """Return what kind of adapter a file holds; what tells nothing is a LoRA.

    Raises:
        InputError: Its header is broken or tells of a kind that is not known here.
    """
    kinds = {"LORA": Method.lora, "LOHA": Method.loha, "LOKR": Method.lokr}
    try:
        told = json.loads(metadata.get(ADAPTER_KEY, "{}"))
        return kinds[told.get("unet.peft_type") or "LORA"]
    except (ValueError, KeyError, AttributeError, TypeError):
        raise InputError(
            f"loras: {file} has a broken {ADAPTER_KEY} or an unknown kind; allowed: {list(kinds)}"
        ) from None


def load_lycoris(
    model: LoadedModel, file: Path, metadata: Mapping[str, str], *, method: Method, name: str
) -> None:
    """Attach a LoHa or LoKr of the UNet under a name.

    Raises:
        KeyError: Its header lacks what it was attached with.
        ValueError: Its layers or tensors are not the model's.
        RuntimeError: Its tensors have other shapes.
    """
    told = json.loads(metadata[ADAPTER_KEY])
    unet = model.modules["unet"]
    config = LYCORIS[method](**{key: told[f"unet.{key}"] for key in KEPT})
    tensors = {key.removeprefix("unet."): tensor for key, tensor in load_file(file).items()}
    with torch.random.fork_rng(devices=[]):
        unet.add_adapter(config, adapter_name=name)
    found: Any = set_peft_model_state_dict(unet, tensors, adapter_name=name)
    missing = [key for key in found.missing_keys if f".{name}" in key]
    if missing or found.unexpected_keys:
        raise ValueError(f"tensors do not match: {(missing + found.unexpected_keys)[0]}")
