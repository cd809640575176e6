"""Trained adapters on a loaded base: read, checked, several sets beside each other.

diffusers' loader reads its own form back, ``lora_weights`` that of kohya, ``adapter_kinds`` what
diffusers has no loader for.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from pipeline.core.errors import InputError
from pipeline.core.files import sha256_file
from pipeline.models.adapter_kinds import load_lycoris, method_of
from pipeline.models.conf import LoraUse, Method
from pipeline.models.lora import resolve
from pipeline.models.lora_files import BASE_KEY
from pipeline.models.lora_names import UNET, canonical
from pipeline.models.lora_weights import (
    FAMILY_KEY,
    Lora,
    is_flat,
    peft_configs,
    peft_tensors,
    read_lora,
)
from pipeline.models.noise_schedule import changed_scheduler, read_changes
from pipeline.models.protocol import LoadedModel
from pipeline.models.sums import check_sums

log = logging.getLogger(__name__)


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
                trained for another family; or two of a set were trained on different schedules.
        """
        self.pipeline = model.pipeline
        self.variants = variants
        self.records: list[list[dict[str, str | float]]] = []
        """Of each variant: one record an adapter with file, sha256, weight."""
        self._names: dict[Path, str] = {}
        self._changes: dict[Path, dict[str, Any]] = {}
        self._method: Method | None = None
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
        base = self.pipeline.scheduler
        self._schedulers = [changed_scheduler(base, self._agreed(uses)) for uses in variants]
        self._fused = False
        if fuse and len(variants) == 1 and variants[0]:
            self.use(0)
            names = self.pipeline.get_active_adapters()
            self.pipeline.fuse_lora(components=list(model.modules), adapter_names=names)
            self.pipeline.unload_lora_weights()
            self._fused = True

    def use(self, variant: int) -> None:
        """Switch to a set of adapters and to the noise schedule it was trained on."""
        self.pipeline.scheduler = self._schedulers[variant]
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

    def _agreed(self, uses: Sequence[LoraUse]) -> dict[str, Any]:
        found: dict[str, Any] | None = None
        for use in uses:
            changes = self._changes[resolve(use.path)]
            if found is not None and changes != found:
                raise InputError(
                    f"loras: {use.path} was trained with {changes or 'the schedule of its base'}, "
                    f"the one before with {found or 'that of its base'}; no sampler serves both"
                )
            found = changes
        return found or {}

    def _load(self, model: LoadedModel, file: Path) -> None:
        metadata = _check_base(file, model)
        self._changes[file] = read_changes(metadata, file=file)
        name = f"lora{len(self._names)}"
        method = method_of(metadata, file=file)
        if self._method not in (None, method):
            raise InputError(
                f"loras: {file} is a {method.value}, the ones before are {self._method.value}; "
                "one model holds one kind"
            )
        self._method = method
        try:
            if method is not Method.lora:
                load_lycoris(model, file, metadata, method=method, name=name)
            elif is_flat(file):
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


def _check_base(file: Path, model: LoadedModel) -> dict[str, str]:
    """Refuse another family's adapter; warn of one that was trained on another base of its own.

    Returns:
        The file's metadata.
    """
    try:
        with safe_open(file, framework="pt") as opened:
            metadata: dict[str, str] = opened.metadata() or {}
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
    return metadata
