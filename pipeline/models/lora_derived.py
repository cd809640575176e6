"""What a LoRA made of others says of itself: only what is true of it, and what it is made of."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.core.errors import InputError
from pipeline.models.lora_files import BASE_KEY, LORA_KEY
from pipeline.models.lora_header import OUTPUT_KEY, SHORT_HASH, SPEC_HASH, TITLE_KEY
from pipeline.models.lora_weights import FAMILY_KEY, Layer, Lora

MADE_KEY = "dgx_pixels_made_from"
DATA_KEY = "dgx_pixels_data"
"""JSON list, one object a data set: name, digest, images, and the licence ledger of its card."""
SETTABLE = (
    "title", "author", "description", "license", "tags", "usage_hint", "trigger_phrase", "date",
)  # fmt: skip
"""Keys of modelspec that are for people to say."""
RANKS = ("ss_network_dim", "ss_network_alpha")
OF_THE_BASE = frozenset(
    {
        FAMILY_KEY, BASE_KEY, "modelspec.sai_model_spec", "modelspec.architecture",
        "modelspec.resolution", "modelspec.prediction_type", "modelspec.license",
        "ss_base_model_version", "ss_v2", "ss_sd_model_name", "ss_resolution",
    }
)  # fmt: skip
"""What stays true of a sum where it is true of every part."""
OF_TRAINING = (LORA_KEY, "ss_network_args", *RANKS)
"""What tells the ranks that were trained."""


def made_from(how: str, **told: Any) -> str:
    """Return the record of how a file was made, as JSON."""
    return json.dumps({"how": how} | told, sort_keys=True)


def resized(lora: Lora, layers: Mapping[str, Layer], record: str) -> Lora:
    """Return a LoRA of other layers and the metadata that are still true."""
    kept = {key: value for key, value in _plain(lora).items() if key not in OF_TRAINING}
    metadata = kept | ranks(layers) | {MADE_KEY: record}
    return Lora(family=lora.family, layers=dict(layers), metadata=metadata, form=lora.form)


def merged(
    loras: Sequence[Lora], names: Sequence[str], layers: Mapping[str, Layer], record: str
) -> Lora:
    """Return the sum of LoRAs: what all of them say, all their data sets and licences."""
    first = _plain(loras[0])
    others = [_plain(lora) for lora in loras[1:]]
    kept = {
        key: value
        for key, value in first.items()
        if key in OF_THE_BASE and all(other.get(key) == value for other in others)
    }
    titles = [lora.metadata.get(TITLE_KEY, n) for lora, n in zip(loras, names, strict=True)]
    kept |= {"modelspec.merged_from": ", ".join(titles), MADE_KEY: record}
    data = _data(loras)
    if data:
        kept[DATA_KEY] = json.dumps(data, sort_keys=True)
    metadata = kept | ranks(layers)
    return Lora(family=loras[0].family, layers=dict(layers), metadata=metadata, form=loras[0].form)


def ranks(layers: Mapping[str, Layer]) -> dict[str, str]:
    """Return what kohya's keys say of ranks and alphas, ``Dynamic`` where layers differ."""
    found = (
        {str(layer.rank) for layer in layers.values()},
        {str(layer.alpha) for layer in layers.values()},
    )
    told = {k: v.pop() if len(v) == 1 else "Dynamic" for k, v in zip(RANKS, found, strict=True)}
    return {"ss_network_module": "networks.lora"} | told


def parse_settings(settings: Sequence[str]) -> dict[str, str]:
    """Return modelspec keys of ``KEY=VALUE`` strings.

    Raises:
        InputError: A key is not one that people may set.
    """
    told = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or key not in SETTABLE:
            raise InputError(
                f"--set: {setting!r}; allowed: KEY=VALUE, KEY of {', '.join(SETTABLE)}"
            )
        told[f"modelspec.{key}"] = value
    return told


def input_record(path: Path, sha256: str, weight: float | None = None) -> dict[str, Any]:
    """Return what is recorded of an input: its name without folders, its bytes, its weight."""
    record: dict[str, Any] = {"file": path.name, "sha256": sha256}
    return record if weight is None else record | {"weight": weight}


def _plain(lora: Lora) -> dict[str, str]:
    gone = {SPEC_HASH, SHORT_HASH, OUTPUT_KEY, "sshs_legacy_hash"}
    return {key: value for key, value in lora.metadata.items() if key not in gone}


def _data(loras: Sequence[Lora]) -> list[Any]:
    found: list[Any] = []
    for lora in loras:
        try:
            sets = json.loads(lora.metadata.get(DATA_KEY, "[]"))
        except ValueError:
            continue
        found += [one for one in sets if one not in found]
    return found
