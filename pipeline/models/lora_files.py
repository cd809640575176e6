"""LoRA files: the diffusers/PEFT form and its kohya/ComfyUI twin.

    lora/
      pytorch_lora_weights.safetensors          diffusers: ``pipeline.load_lora_weights(folder)``
      pytorch_lora_weights_kohya.safetensors    kohya's suffixes and alphas, for ComfyUI and others

diffusers' own kohya converter takes alpha for rank and breaks UNet keys when text-encoder adapters
are in the same file (0.42.1), so the names and scales are written out here. Blocks keep diffusers'
names (``lora_unet_down_blocks_...``), for SDXL too, where sd-scripts counts ``input_blocks``.
"""

import json
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from peft import get_peft_model_state_dict
from safetensors.torch import save
from torch import Tensor

from pipeline.core.files import write_atomic
from pipeline.models.conf import FamilyName, LoraConfig, Method
from pipeline.models.protocol import LoadedModel

log = logging.getLogger(__name__)

WEIGHTS_NAME = "pytorch_lora_weights.safetensors"
KOHYA_NAME = "pytorch_lora_weights_kohya.safetensors"
FAMILY_KEY = "dgx_pixels_family"
BASE_KEY = "dgx_pixels_base_digest"
ADAPTER_KEY = "lora_adapter_metadata"
"""Where diffusers keeps rank, alpha and targets; without it alpha is lost on loading."""

KOHYA_SUFFIX = {
    "lora_A.weight": "lora_down.weight",
    "lora_B.weight": "lora_up.weight",
}
ARCHITECTURE = {
    FamilyName.pixelnano: "pixelnano",
    FamilyName.sd15: "stable-diffusion-v1",
    FamilyName.sdxl: "stable-diffusion-xl-v1-base",
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
    tensors, adapters = _peft_tensors(model, weights or {})
    header = _header(model, cfg) | dict(metadata or {})
    diffusers_header = header | {"format": "pt", ADAPTER_KEY: json.dumps(adapters, sort_keys=True)}
    files = {"diffusers": folder / WEIGHTS_NAME, "kohya": folder / KOHYA_NAME}
    write_atomic(files["diffusers"], sorted_header(save(tensors, diffusers_header)))
    if cfg.dora or cfg.method is not Method.lora:
        # No reader here takes such a kohya file, so none is proven: none is written.
        log.info("no kohya twin: no proven form for %s", "DoRA" if cfg.dora else cfg.method.value)
        del files["kohya"]
    elif cfg.rslora and cfg.rank_pattern:
        # Each rank would need another alpha, which diffusers does not read back (0.42.1).
        log.info("no kohya twin: it has no proven form for rank-stabilised layers of several ranks")
        del files["kohya"]
    else:
        kohya = to_kohya(tensors, cfg, model.family_name)
        write_atomic(files["kohya"], sorted_header(save(kohya, header)))
    return files


def sorted_header(data: bytes) -> bytes:
    """Sort the metadata of a serialised safetensors file, whose writer orders it at random.

    The format: 8 bytes of header length, little-endian; JSON padded with spaces; the tensors, at
    offsets counted from the header's end.
    """
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


def to_kohya(
    tensors: Mapping[str, Tensor], cfg: LoraConfig, family: FamilyName
) -> dict[str, Tensor]:
    """Rename diffusers/PEFT tensors to kohya's and add the alpha each layer needs.

    kohya scales by ``alpha / rank`` always, so a rank-stabilised scale ``alpha / sqrt(rank)`` is
    written as an alpha of ``alpha * sqrt(rank)``.
    """
    alpha = cfg.alpha * math.sqrt(cfg.rank) if cfg.rslora else cfg.alpha
    out: dict[str, Tensor] = {}
    for name, tensor in sorted(tensors.items()):
        suffix = next(s for s in KOHYA_SUFFIX if name.endswith("." + s))
        layer = _kohya_layer(name.removesuffix("." + suffix), family)
        out[f"{layer}.{KOHYA_SUFFIX[suffix]}"] = tensor
        out[f"{layer}.alpha"] = torch.tensor(alpha)
    return out


def _kohya_layer(name: str, family: FamilyName) -> str:
    module, _, path = name.partition(".")
    if module == "unet":
        return "lora_unet_" + path.replace(".", "_")
    if not path.startswith("text_model."):
        # transformers 5 dropped the prefix that every other tool still expects.
        path = "text_model." + path
    encoders = {"text_encoder": "lora_te1", "text_encoder_2": "lora_te2"}
    prefix = encoders[module] if family is FamilyName.sdxl else "lora_te"
    return f"{prefix}_{path.replace('.', '_')}"


def _peft_tensors(
    model: LoadedModel, weights: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
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
            tensors[f"{prefix}.{name}"] = value.detach().cpu().float().contiguous()
        for key, value in config["default"].to_dict().items():
            adapters[f"{prefix}.{key}"] = sorted(value) if isinstance(value, set) else value
    return tensors, adapters


def _header(model: LoadedModel, cfg: LoraConfig) -> dict[str, str]:
    architecture = f"{ARCHITECTURE[model.family_name]}/lora"
    side_px = model.latent_shape[-1] * (2 if model.family_name is FamilyName.pixelnano else 8)
    return {
        FAMILY_KEY: model.family_name.value,
        BASE_KEY: model.digest,
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": architecture,
        "modelspec.implementation": "diffusers",
        "modelspec.resolution": f"{side_px}x{side_px}",
        "modelspec.prediction_type": model.prediction,
        "ss_network_module": (
            "networks.lora" if cfg.method is Method.lora else f"peft.{cfg.method.value}"
        ),
        "ss_network_dim": str(cfg.rank),
        "ss_network_alpha": str(cfg.alpha),
        "ss_base_model_version": ARCHITECTURE[model.family_name],
    }
