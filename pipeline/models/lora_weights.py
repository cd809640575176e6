"""A LoRA file in memory: its layers by diffusers' names, whatever form the file has.

A layer adds ``alpha / rank * up @ down`` to a weight (Hu et al. 2021, arXiv 2106.09685); of a
convolution the first factor is a convolution and the second a 1x1 one.

Shape legend: O outputs, R rank, I inputs (of a convolution: input channels, height, width).
"""

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft.utils.other import get_pattern_key
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from pipeline.core.errors import InputError
from pipeline.core.files import write_atomic
from pipeline.models.conf import FamilyName, LoraForm
from pipeline.models.lora_header import read_header, with_metadata
from pipeline.models.lora_names import TEXT_MODEL, canonical, from_flat, to_flat

FAMILY_KEY = "dgx_pixels_family"
ADAPTER_KEY = "lora_adapter_metadata"
"""Where diffusers keeps rank, alpha and targets; without it alpha is lost on loading."""
PEFT_PARTS = {".lora_A.weight": "down", ".lora_B.weight": "up", ".lora_magnitude_vector": "dora"}
FLAT_PARTS = {".lora_down.weight": "down", ".lora_up.weight": "up", ".alpha": "alpha"}
FORM_KEYS = {ADAPTER_KEY, "format"}
OWN_IMPLEMENTATION = "https://github.com/Stability-AI/generative-models"
"""What sd-scripts calls the code whose names an SDXL LoRA of its kind has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """What one layer of the model gets."""

    down: Tensor
    """R I."""
    up: Tensor
    """O R, or O R 1 1."""
    alpha: float
    """Scale numerator: the layer counts ``alpha / rank``."""
    magnitude: Tensor | None = None
    """O, or 1 O 1 1: DoRA's norms, where it is one."""

    @property
    def rank(self) -> int:
        """Inner width."""
        return self.down.shape[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class Lora:
    """All layers of a file, by canonical dotted names, and what the file says of itself."""

    family: FamilyName
    layers: dict[str, Layer]
    metadata: dict[str, str]
    form: LoraForm

    @property
    def is_dora(self) -> bool:
        """Whether any layer has magnitudes."""
        return any(layer.magnitude is not None for layer in self.layers.values())


def read_lora(path: Path, *, family: FamilyName | None = None) -> Lora:
    """Read a LoRA file of diffusers' or kohya's form.

    Args:
        path: A ``.safetensors`` file.
        family: What it was trained for; None takes it from the file.

    Raises:
        InputError: The file is broken, of no known form, or does not tell its family.
    """
    metadata = read_header(path)[0]
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise InputError(f"{path} is not a whole safetensors file ({error})") from error
    if not tensors:
        raise InputError(f"{path} holds no layer")
    flat = is_flat(path)
    parts = _parts(path, tensors, FLAT_PARTS if flat else PEFT_PARTS)
    layers = _flat_layers(path, parts) if flat else _peft_layers(path, parts, metadata)
    found = family or _family(metadata, tensors)
    if found is None:
        names = ", ".join(name.value for name in FamilyName)
        raise InputError(
            f"{path}: neither {FAMILY_KEY} nor ss_base_model_version tells the family; "
            f"give --family, one of {names}"
        )
    form = LoraForm.diffusers
    if flat:
        # Where a family's blocks are counted in one way only, both flat forms are one.
        own = found is not FamilyName.sdxl or _has_own_blocks(tensors)
        form = LoraForm.kohya if own else LoraForm.comfyui
    kept = {key: value for key, value in metadata.items() if key not in FORM_KEYS}
    return Lora(family=found, layers=dict(sorted(layers.items())), metadata=kept, form=form)


def is_flat(path: Path) -> bool:
    """Whether a file's tensors have kohya's names.

    Raises:
        InputError: It is no safetensors file.
    """
    return any(key.startswith(("lora_unet_", "lora_te")) for key in read_header(path)[1])


def write_lora(
    lora: Lora, path: Path, form: LoraForm, *, adapters: Mapping[str, Any] | None = None
) -> None:
    """Write a LoRA in one of the forms, atomically; the same LoRA gives the same bytes.

    Args:
        lora: What to write; its metadata go in with the hash of the tensors.
        path: The file.
        form: Which names.
        adapters: For diffusers, peft's own configs by ``<module>.<key>``; None makes them.

    Raises:
        InputError: It is a DoRA and the form is not diffusers'.
    """
    if form is LoraForm.diffusers:
        told = adapters if adapters is not None else peft_configs(lora)
        write_peft(peft_tensors(lora), path, lora.metadata, adapters=told)
        return
    own_blocks = form is LoraForm.kohya and lora.family is FamilyName.sdxl
    implementation = OWN_IMPLEMENTATION if own_blocks else "diffusers"
    metadata = dict(lora.metadata) | {"modelspec.implementation": implementation}
    _write(_to_flat(lora, own_blocks=own_blocks), path, metadata)


def write_peft(
    tensors: Mapping[str, Tensor],
    path: Path,
    metadata: Mapping[str, str],
    *,
    adapters: Mapping[str, Any],
) -> None:
    """Write tensors by peft's names, of whatever kind of adapter, with peft's configs.

    Args:
        tensors: By ``<module>.<name>``.
        path: The file.
        metadata: What it says of itself.
        adapters: peft's configs by ``<module>.<key>``.
    """
    told = {
        "modelspec.implementation": "diffusers",
        "format": "pt",
        ADAPTER_KEY: json.dumps(adapters, sort_keys=True),
    }
    _write(tensors, path, dict(metadata) | told)


def peft_tensors(lora: Lora) -> dict[str, Tensor]:
    """Return the tensors as peft and diffusers call them."""
    tensors = {}
    for name, layer in lora.layers.items():
        tensors[f"{name}.lora_A.weight"] = layer.down
        tensors[f"{name}.lora_B.weight"] = layer.up
        if layer.magnitude is not None:
            tensors[f"{name}.lora_magnitude_vector"] = layer.magnitude
    return tensors


def peft_configs(lora: Lora) -> dict[str, Any]:
    """Return peft's config of each module, the layers that differ from most of them as patterns."""
    told: dict[str, Any] = {}
    by_module: dict[str, dict[str, Layer]] = {}
    for name, layer in lora.layers.items():
        module, _, path = name.partition(".")
        # A target matches the ends of names, so this fits with and without the prefix.
        by_module.setdefault(module, {})[path.removeprefix(TEXT_MODEL)] = layer
    for module, named in by_module.items():
        rank = Counter(layer.rank for layer in named.values()).most_common(1)[0][0]
        alpha = Counter(layer.alpha for layer in named.values()).most_common(1)[0][0]
        config = {
            "r": rank,
            "lora_alpha": alpha,
            "rank_pattern": {n: x.rank for n, x in named.items() if x.rank != rank},
            "alpha_pattern": {n: x.alpha for n, x in named.items() if x.alpha != alpha},
            "target_modules": sorted(named),
            "use_dora": any(x.magnitude is not None for x in named.values()),
        }
        told |= {f"{module}.{key}": value for key, value in config.items()}
    return told


def _write(tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str]) -> None:
    whole = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    write_atomic(path, with_metadata(save(whole), metadata))


def _to_flat(lora: Lora, *, own_blocks: bool) -> dict[str, Tensor]:
    if lora.is_dora:
        # peft divides by the norm of the sum, ComfyUI by that of the base; diffusers drops it.
        raise InputError(
            "a DoRA has no kohya or comfyui form that all readers take alike; allowed: diffusers"
        )
    tensors = {}
    for name, layer in lora.layers.items():
        flat = to_flat(name, lora.family, own_blocks=own_blocks)
        tensors[f"{flat}.lora_down.weight"] = layer.down
        tensors[f"{flat}.lora_up.weight"] = layer.up
        tensors[f"{flat}.alpha"] = torch.tensor(layer.alpha)
    return tensors


def _parts(
    path: Path, tensors: Mapping[str, Tensor], suffixes: Mapping[str, str]
) -> dict[str, dict[str, Tensor]]:
    found: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        suffix = next((s for s in suffixes if key.endswith(s)), None)
        if suffix is None:
            allowed = " ".join(suffixes)
            raise InputError(f"{path}: {key} is of no form that is read here; allowed: {allowed}")
        found.setdefault(key.removesuffix(suffix), {})[suffixes[suffix]] = tensor
    for name, parts in found.items():
        if "down" not in parts or "up" not in parts:
            raise InputError(f"{path}: {name} has {' '.join(sorted(parts))}, not up and down")
        down, up = parts["down"], parts["up"]
        if up.ndim not in (2, 4) or up.shape[1] != down.shape[0] or up[0, 0].numel() != 1:
            shapes = f"{tuple(down.shape)} and {tuple(up.shape)}"
            raise InputError(f"{path}: {name} has factors of {shapes}, which do not fit together")
    return found


def _flat_layers(path: Path, parts: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Layer]:
    layers = {}
    for flat, found in parts.items():
        name = from_flat(flat)
        if name is None:
            raise InputError(f"{path}: {flat} starts with none of lora_unet_ lora_te_ lora_te1_")
        down = found["down"]
        alpha = float(found["alpha"]) if "alpha" in found else float(down.shape[0])
        layers[name] = Layer(down=down, up=found["up"], alpha=alpha)
    return layers


def _peft_layers(
    path: Path, parts: Mapping[str, Mapping[str, Tensor]], metadata: Mapping[str, str]
) -> dict[str, Layer]:
    try:
        adapters: dict[str, Any] = json.loads(metadata.get(ADAPTER_KEY, "{}"))
    except ValueError as error:
        raise InputError(f"{path}: {ADAPTER_KEY} is not JSON ({error})") from None
    layers = {}
    for name, found in parts.items():
        module = name.partition(".")[0]
        if module not in ("unet", "text_encoder", "text_encoder_2"):
            raise InputError(f"{path}: {name} is of {module}, not unet or a text encoder")
        alpha = _peft_alpha(name, adapters, rank=found["down"].shape[0])
        layers[canonical(name)] = Layer(
            down=found["down"], up=found["up"], alpha=alpha, magnitude=found.get("dora")
        )
    return layers


def _peft_alpha(name: str, adapters: Mapping[str, Any], *, rank: int) -> float:
    module, _, layer = name.partition(".")
    patterns = adapters.get(f"{module}.alpha_pattern") or {}
    default = adapters.get(f"{module}.lora_alpha", rank)
    alpha = float(patterns.get(get_pattern_key(list(patterns), layer), default))
    # Kalajdzievski 2023 (arXiv 2312.03732) divides by the root of the rank.
    return alpha * math.sqrt(rank) if adapters.get(f"{module}.use_rslora") else alpha


def _has_own_blocks(tensors: Mapping[str, Tensor]) -> bool:
    own = ("lora_unet_input_blocks", "lora_unet_middle_block", "lora_unet_output_blocks")
    return any(key.startswith(own) for key in tensors)


def _family(metadata: Mapping[str, str], tensors: Mapping[str, Tensor]) -> FamilyName | None:
    told = metadata.get(FAMILY_KEY)
    if told in {name.value for name in FamilyName}:
        return FamilyName(told)
    base = metadata.get("ss_base_model_version", "") + metadata.get("modelspec.architecture", "")
    second = any(key.startswith(("lora_te2_", "text_encoder_2.")) for key in tensors)
    if second or "sdxl" in base or "-xl-" in base or _has_own_blocks(tensors):
        return FamilyName.sdxl
    if "sd_v1" in base or "stable-diffusion-v1" in base:
        return FamilyName.sd15
    return None
