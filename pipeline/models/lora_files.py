"""The LoRA files a run leaves: the diffusers/PEFT form and its kohya twin.

    lora/
      pytorch_lora_weights.safetensors          diffusers: ``pipeline.load_lora_weights(folder)``
      pytorch_lora_weights_kohya.safetensors    flat names and alphas: sd-scripts, A1111, ComfyUI

diffusers' own kohya converter takes alpha for rank and breaks UNet keys when text-encoder adapters
are in the same file (0.42.1), so the names and scales are written out in ``lora_weights``.
"""

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from peft import get_peft_model_state_dict
from torch import Tensor

from pipeline.models.conf import FamilyName, LoraConfig, LoraForm, Method, Targets
from pipeline.models.lora_header import TITLE_KEY
from pipeline.models.lora_names import canonical
from pipeline.models.lora_weights import (
    FAMILY_KEY,
    PEFT_PARTS,
    Layer,
    Lora,
    write_lora,
    write_peft,
)
from pipeline.models.protocol import LoadedModel

log = logging.getLogger(__name__)

WEIGHTS_NAME = "pytorch_lora_weights.safetensors"
KOHYA_NAME = "pytorch_lora_weights_kohya.safetensors"
BASE_KEY = "dgx_pixels_base_digest"
LORA_KEY = "dgx_pixels_lora"

# modelspec's name of the architecture; sd-scripts' of the base, whose "sdxl_" tells others SDXL.
ARCHITECTURE = {
    FamilyName.pixelnano: "pixelnano",
    FamilyName.sd15: "stable-diffusion-v1",
    FamilyName.sdxl: "stable-diffusion-xl-v1-base",
}
BASE_VERSION = {
    FamilyName.pixelnano: "pixelnano",
    FamilyName.sd15: "sd_v1",
    FamilyName.sdxl: "sdxl_base_v1-0",
}


def save_lora(
    model: LoadedModel,
    cfg: LoraConfig,
    folder: Path,
    *,
    weights: Mapping[str, Tensor] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> dict[str, Path]:
    """Write both files, atomically, with metadata other tools read. Deterministic bytes.

    Args:
        model: A model with adapters attached.
        cfg: What they were attached with.
        folder: Where the files go.
        weights: Values to write in place of the live ones, named as by ``lora.trainable``.
        metadata: More strings for the header.

    Returns:
        The files by kind, ``diffusers`` and (but for DoRA, LoHa, LoKr, and rank-stabilised layers
        of several ranks) ``kohya``.
    """
    tensors, adapters = _live(model, weights or {})
    told = base_metadata(model) | _network(cfg) | dict(metadata or {})
    files = {"diffusers": folder / WEIGHTS_NAME, "kohya": folder / KOHYA_NAME}
    if cfg.method is not Method.lora:
        # No reader here takes LyCORIS' names, so no twin is proven: none is written.
        log.info("no kohya twin: no proven form for %s", cfg.method.value)
        write_peft(tensors, files["diffusers"], told, adapters=adapters)
        return {"diffusers": files["diffusers"]}
    lora = Lora(
        family=model.family_name,
        layers=_layers(tensors, cfg),
        metadata=told,
        form=LoraForm.diffusers,
    )
    write_lora(lora, files["diffusers"], LoraForm.diffusers, adapters=adapters)
    if cfg.dora:
        log.info("no kohya twin: readers of that form take the norms of a DoRA in different ways")
        del files["kohya"]
    elif cfg.rslora and cfg.rank_pattern:
        # Each rank would need another alpha, which diffusers does not read back (0.42.1).
        log.info("no kohya twin: it has no proven form for rank-stabilised layers of several ranks")
        del files["kohya"]
    else:
        write_lora(lora, files["kohya"], LoraForm.kohya)
    return files


def base_metadata(model: LoadedModel) -> dict[str, str]:
    """Return what a header says of the base model and the spec it follows."""
    return {
        FAMILY_KEY: model.family_name.value,
        BASE_KEY: model.digest,
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": f"{ARCHITECTURE[model.family_name]}/lora",
        TITLE_KEY: f"{model.family_name.value} LoRA",
        "modelspec.resolution": f"{model.size_px}x{model.size_px}",
        "modelspec.prediction_type": model.prediction,
        "ss_base_model_version": BASE_VERSION[model.family_name],
        "ss_v2": "False",
    }


def _network(cfg: LoraConfig) -> dict[str, str]:
    alpha = effective_alpha(cfg)
    told = asdict(cfg) | {"targets": cfg.targets.value, "method": cfg.method.value}
    network = {
        LORA_KEY: json.dumps(told, sort_keys=True),
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(cfg.rank),
        "ss_network_alpha": str(alpha),
        "ss_network_dropout": str(cfg.dropout),
    }
    if cfg.targets is Targets.all:
        args = {"conv_dim": str(cfg.rank), "conv_alpha": str(alpha)}
        network["ss_network_args"] = json.dumps(args, sort_keys=True)
    if cfg.dora or cfg.method is not Method.lora:
        # sd-scripts' plain module would read the file without its norms.
        del network["ss_network_module"]
    return network


def effective_alpha(cfg: LoraConfig, rank: int | None = None) -> float:
    """Return the alpha that, divided by the rank, is the scale: all that kohya's form knows.

    Args:
        cfg: What adapters were attached with.
        rank: Of the layer; None: that of most.
    """
    return cfg.alpha * math.sqrt(rank or cfg.rank) if cfg.rslora else cfg.alpha


def _live(
    model: LoadedModel, weights: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the adapters' tensors as peft calls them, and peft's configs by module."""
    tensors: dict[str, Tensor] = {}
    adapters: dict[str, Any] = {}
    for prefix, module in model.modules.items():
        config = getattr(module, "peft_config", None)
        if not config:
            continue
        state = {
            name: weights.get(f"{prefix}.{name}", value)
            for name, value in module.state_dict().items()
        }
        for name, value in get_peft_model_state_dict(module, state_dict=state).items():
            tensors[f"{prefix}.{name}"] = value.detach().cpu().float()
        for key, value in config["default"].to_dict().items():
            adapters[f"{prefix}.{key}"] = sorted(value) if isinstance(value, set) else value
    return tensors, adapters


def _layers(tensors: Mapping[str, Tensor], cfg: LoraConfig) -> dict[str, Layer]:
    parts: dict[str, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        suffix = next(s for s in PEFT_PARTS if name.endswith(s))
        layer = canonical(name.removesuffix(suffix))
        parts.setdefault(layer, {})[PEFT_PARTS[suffix]] = value
    return {
        name: Layer(
            down=found["down"],
            up=found["up"],
            alpha=effective_alpha(cfg, found["down"].shape[0]),
            magnitude=found.get("dora"),
        )
        for name, found in sorted(parts.items())
    }
