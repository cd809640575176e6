"""A LoRA file in lines for people: form, layers, ranks, and all it says of itself."""

from collections import Counter
from pathlib import Path
from typing import Any

from pipeline.core.files import sha256_file
from pipeline.models.conf import FamilyName, LoraForm
from pipeline.models.lora_header import SPEC_HASH, read_header, tensors_sha256
from pipeline.models.lora_weights import ADAPTER_KEY, read_lora

NUM_SHOWN = 160
"""Characters of a value that are shown."""


def describe(path: Path, *, family: FamilyName | None = None) -> str:
    """Return the lines on one file.

    Raises:
        InputError: It is no LoRA file that is read here.
    """
    lora = read_lora(path, family=family)
    metadata, tensors, start = read_header(path)
    either = lora.form is LoraForm.kohya and lora.family is not FamilyName.sdxl
    modules = Counter(name.partition(".")[0] for name in lora.layers)
    ranks = Counter(layer.rank for layer in lora.layers.values())
    scales = Counter(f"{layer.alpha / layer.rank:.4g}" for layer in lora.layers.values())
    kinds = Counter(str(told["dtype"]) for told in tensors.values())
    lines = {
        "form": f"{lora.form.value}{' (= comfyui)' if either else ''}",
        "family": lora.family.value,
        "sha256": sha256_file(path),
        "bytes": f"{path.stat().st_size} ({start} of header)",
        "tensors": f"{len(tensors)} ({_counts(kinds)}), hash {_hash(path, metadata)}",
        "layers": f"{len(lora.layers)} ({_counts(modules)})",
        "rank": _counts(ranks),
        "scale": f"{_counts(scales)} (alpha / rank)",
        "dora": "yes" if lora.is_dora else "no",
    }
    shown = [f"  {name:<8} {value}" for name, value in lines.items()]
    told = [f"    {k} = {_short(v)}" for k, v in metadata.items() if k != ADAPTER_KEY]
    return "\n".join([str(path), *shown, "  metadata", *told])


def _hash(path: Path, metadata: dict[str, str]) -> str:
    told = metadata.get(SPEC_HASH)
    if told is None:
        return "not told"
    return "as told" if told == f"0x{tensors_sha256(path)}" else f"NOT AS TOLD ({told})"


def _counts(counter: Counter[Any]) -> str:
    """Say what there is, and how often where there is more than one kind."""
    if len(counter) == 1:
        return str(next(iter(counter)))
    return ", ".join(f"{key}: {counter[key]}" for key in sorted(counter))


def _short(value: str) -> str:
    return value if len(value) <= NUM_SHOWN else f"{value[:NUM_SHOWN]}... ({len(value)} characters)"
