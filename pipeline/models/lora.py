"""LoRA adapters on a loaded model: attach, name what is trained, apply what was trained.

peft does the layers; diffusers' loader reads its own form back, ``lora_weights`` that of kohya.
"""

import logging
import re
from collections.abc import Sequence
from pathlib import Path

import torch
from peft import LoraConfig as PeftLoraConfig
from safetensors import SafetensorError, safe_open
from torch import nn

from pipeline.core.errors import InputError
from pipeline.core.files import sha256_file
from pipeline.models.conf import FamilyName, LoraConfig, LoraUse, Targets
from pipeline.models.lora_files import BASE_KEY, WEIGHTS_NAME
from pipeline.models.lora_names import UNET, canonical
from pipeline.models.lora_weights import (
    FAMILY_KEY,
    Lora,
    is_flat,
    peft_configs,
    peft_tensors,
    read_lora,
)
from pipeline.models.protocol import LoadedModel
from pipeline.models.sums import check_sums

log = logging.getLogger(__name__)

ATTENTION = re.compile(r"\.(to_q|to_k|to_v|to_out\.0)$")
TEXT_ATTENTION = re.compile(r"\.(q_proj|k_proj|v_proj|out_proj)$")


def attach(model: LoadedModel, cfg: LoraConfig, *, seed: int) -> None:
    """Put fresh adapters on the UNet, and on the text encoders when asked.

    Deterministic given ``seed``; torch's own generator is left as it was. The fresh adapter changes
    nothing until it is trained (its second factor is zero).
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        for name, module in model.modules.items():
            if name != "unet" and not cfg.text_encoder:
                continue
            names = unet_targets(module, cfg.targets) if name == "unet" else _text(model, name)
            module.add_adapter(
                PeftLoraConfig(
                    r=cfg.rank,
                    lora_alpha=cfg.alpha,
                    lora_dropout=cfg.dropout,
                    use_rslora=cfg.rslora,
                    use_dora=cfg.dora,
                    target_modules=names,
                )
            )


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


def apply(model: LoadedModel, uses: Sequence[LoraUse]) -> list[dict[str, str | float]]:
    """Load trained adapters onto a model, added up with their weights.

    Returns:
        One record an adapter: file, sha256, weight.

    Raises:
        InputError: A file is missing, broken, or was trained for another family.
    """
    adapters = Adapters(model, [uses], fuse=False)
    adapters.use(0)
    return adapters.records[0]


class Adapters:
    """Several sets of trained adapters on one base; one set is in use at a time."""

    def __init__(
        self, model: LoadedModel, variants: Sequence[Sequence[LoraUse]], *, fuse: bool
    ) -> None:
        """Load every file once.

        Args:
            model: The base.
            variants: Sets of adapters; an empty one is the base alone.
            fuse: Add the adapters into the base's weights when there is only one set, so that they
                cost nothing in a step.

        Raises:
            InputError: A file is missing, broken, not as its folder's SHA256SUMS lists it, or was
                trained for another family.
        """
        self.pipeline = model.pipeline
        self.variants = variants
        self.records: list[list[dict[str, str | float]]] = []
        """Of each variant: one record an adapter with file, sha256, weight."""
        self._names: dict[Path, str] = {}
        digests: dict[Path, str] = {}
        for uses in variants:
            records: list[dict[str, str | float]] = []
            for use in uses:
                file = resolve(use.path)
                if file not in self._names:
                    check_sums(file.parent)
                    digests[file] = sha256_file(file)
                    self._load(model, file)
                records.append({"file": file.name, "sha256": digests[file], "weight": use.weight})
            self.records.append(records)
        self._fused = False
        if fuse and len(variants) == 1 and variants[0]:
            self.use(0)
            names = self.pipeline.get_active_adapters()
            self.pipeline.fuse_lora(components=list(model.modules), adapter_names=names)
            self.pipeline.unload_lora_weights()
            self._fused = True

    def use(self, variant: int) -> None:
        """Switch to a set of adapters."""
        if not self._names or self._fused:
            return
        uses = self.variants[variant]
        if uses:
            weights: dict[str, float] = {}
            for use in uses:
                # The same file twice counts twice; set_adapters would take the last weight.
                name = self._names[resolve(use.path)]
                weights[name] = weights.get(name, 0.0) + use.weight
            self.pipeline.enable_lora()
            self.pipeline.set_adapters(list(weights), list(weights.values()))
        else:
            self.pipeline.disable_lora()

    def _load(self, model: LoadedModel, file: Path) -> None:
        _check_base(file, model)
        name = f"lora{len(self._names)}"
        try:
            if is_flat(file):
                lora = read_lora(file, family=model.family_name)
                _check_layers(file, lora, model)
                self._load_flat(model, lora, name)
            else:
                self.pipeline.load_lora_weights(
                    file.parent, weight_name=file.name, adapter_name=name
                )
        except InputError:
            raise
        except (ValueError, KeyError, RuntimeError) as error:
            line = str(error).splitlines()[0]
            raise InputError(f"loras: {file} does not fit this model ({line})") from error
        loaded = {n for names in self.pipeline.get_list_adapters().values() for n in names}
        if name not in loaded:
            raise InputError(f"loras: {file} has no weights for this model's layers")
        self._names[file] = name

    def _load_flat(self, model: LoadedModel, lora: Lora, name: str) -> None:
        """Load what kohya's names were by our own reading: diffusers' loses some of them."""
        tensors, configs = peft_tensors(lora), peft_configs(lora)
        for prefix, module in model.modules.items():
            if not any(layer.startswith(f"{prefix}.") for layer in lora.layers):
                continue
            is_unet = prefix == UNET
            load = getattr(self.pipeline, f"load_lora_into_{UNET if is_unet else 'text_encoder'}")
            load(
                tensors,
                network_alphas=None,
                adapter_name=name,
                metadata=configs,
                low_cpu_mem_usage=True,
                _pipeline=self.pipeline,
                **({"unet": module} if is_unet else {"text_encoder": module, "prefix": prefix}),
            )


def _check_layers(file: Path, lora: Lora, model: LoadedModel) -> None:
    """Refuse layers that the model has not: diffusers would pass over them with a warning."""
    there = {
        canonical(f"{prefix}.{name}")
        for prefix, module in model.modules.items()
        for name, _ in module.named_modules()
    }
    strange = [name for name in lora.layers if name not in there]
    if strange:
        raise InputError(
            f"loras: {file}: {len(strange)} of {len(lora.layers)} layers are not in this model, "
            f"such as {strange[0]}"
        )


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


def _check_base(file: Path, model: LoadedModel) -> None:
    """Refuse another family's adapter; warn of one that was trained on another base of its own."""
    try:
        with safe_open(file, framework="pt") as opened:
            metadata = opened.metadata() or {}
    except SafetensorError as error:
        raise InputError(f"loras: {file} is not a whole safetensors file ({error})") from error
    family = model.family_name.value
    trained_for = metadata.get(FAMILY_KEY, family)
    if trained_for != family:
        raise InputError(f"loras: {file} was trained for {trained_for}, the model is {family}")
    if metadata.get(BASE_KEY, model.digest) != model.digest:
        log.warning(
            "%s was trained on another base model (%s...) than this one (%s...)",
            file,
            metadata[BASE_KEY][:12],
            model.digest[:12],
        )
