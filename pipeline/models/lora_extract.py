"""A LoRA out of two whole models: the difference of their weights, at a small rank.

Linear and convolution layers of the UNet and the text encoders count. Norms, biases and embeddings
are no matrices a LoRA adds to: where they differ they are left out, and named.
"""

import logging
from pathlib import Path

from torch import Tensor, nn

from pipeline.core.errors import InputError
from pipeline.core.files import read_json
from pipeline.models.conf import FamilyName, LoraForm, ModelConfig
from pipeline.models.latent import CELL_PX
from pipeline.models.lora_algebra import Kept, Loss, extract
from pipeline.models.lora_files import base_metadata
from pipeline.models.lora_names import canonical
from pipeline.models.lora_weights import Lora
from pipeline.models.pixelnano import FOLD
from pipeline.models.protocol import LoadedModel
from pipeline.models.registry import PIPELINES, load_model

log = logging.getLogger(__name__)

INDEX = "model_index.json"


def extract_lora(base: Path, tuned: Path, kept: Kept) -> tuple[Lora, Loss, dict[str, str]]:
    """Find the LoRA that brings ``base`` nearest to ``tuned``.

    Args:
        base: Folder in diffusers layout, or a run whose ``model/`` is one.
        tuned: Another of the same architecture.
        kept: How many singular values of a layer stay.

    Returns:
        The LoRA, what it leaves out of its layers, and the digests of both models by name.

    Raises:
        InputError: A model is missing, or they are of two architectures, or are the same.
    """
    models = [_load(base, "--base"), _load(tuned, "--tuned")]
    if models[0].family_name is not models[1].family_name:
        told = " and ".join(model.family_name.value for model in models)
        raise InputError(f"extract: models of two families, {told}; allowed: two of one")
    deltas: dict[str, Tensor] = {}
    left_out: list[str] = []
    for prefix, module in models[0].modules.items():
        other = models[1].modules[prefix]
        found, more = _differences(module, other, prefix=prefix)
        deltas |= found
        left_out += more
    if left_out:
        log.warning(
            "left out, as no LoRA holds them: %d tensors (%s...)", len(left_out), left_out[0]
        )
    if not deltas:
        raise InputError(f"extract: {tuned} has the layers of {base}; nothing differs")
    layers, loss = extract(deltas, kept)
    lora = Lora(
        family=models[0].family_name,
        layers=layers,
        metadata=base_metadata(models[0]),
        form=LoraForm.diffusers,
    )
    return lora, loss, {"base": models[0].digest, "tuned": models[1].digest}


def _differences(
    module: nn.Module, other: nn.Module, *, prefix: str
) -> tuple[dict[str, Tensor], list[str]]:
    weights = {
        f"{name}.weight"
        for name, layer in module.named_modules()
        if isinstance(layer, nn.Linear | nn.Conv2d)
    }
    theirs = dict(other.named_parameters())
    deltas: dict[str, Tensor] = {}
    left_out = []
    for name, parameter in module.named_parameters():
        if name not in theirs or theirs[name].shape != parameter.shape:
            raise InputError(f"extract: {prefix}.{name} is not of one shape in both models")
        if theirs[name].equal(parameter):
            continue
        if name in weights:
            layer = canonical(f"{prefix}.{name.removesuffix('.weight')}")
            deltas[layer] = theirs[name].detach() - parameter.detach()
        else:
            left_out.append(f"{prefix}.{name}")
    return deltas, left_out


def _load(path: Path, option: str) -> LoadedModel:
    folder = next((p for p in (path, path / "model") if (p / INDEX).is_file()), None)
    if folder is None:
        raise InputError(
            f"{option}: {path} holds no {INDEX}; give a folder in diffusers layout, or a run of "
            "adapter=full"
        )
    name = read_json(folder / INDEX).get("_class_name")
    known = {pipeline.__name__: family for family, pipeline in PIPELINES.items()}
    if name not in known:
        raise InputError(f"{folder / INDEX}: {name!r} is none of {', '.join(known)}")
    family = known[name]
    side = read_json(folder / "unet" / "config.json").get("sample_size")
    if not isinstance(side, int):
        raise InputError(f"{folder / 'unet' / 'config.json'}: no sample_size")
    scale = FOLD if family is FamilyName.pixelnano else CELL_PX
    cfg = ModelConfig(family=family, path=folder, size_px=side * scale)
    return load_model(cfg, device="cpu")
