"""What a root schema holds: dotted keys, free tables, types. Reads dataclasses, nothing else."""

import dataclasses
import math
from collections.abc import Iterator
from enum import Enum
from typing import Any, get_origin


def known_keys(schema: type[Any], prefix: str = "") -> list[str]:
    """Return the dotted keys of a schema, nested ones included."""
    keys = []
    for name, annotation in _annotations(schema).items():
        keys.append(prefix + name)
        if dataclasses.is_dataclass(annotation) and isinstance(annotation, type):
            keys += known_keys(annotation, f"{prefix}{name}.")
    return keys


def tables(schema: type[Any], prefix: str = "") -> list[str]:
    """Return the dotted keys of dictionaries, whose own keys are the user's to choose."""
    found = []
    for name, annotation in _annotations(schema).items():
        if get_origin(annotation) is dict:
            found.append(prefix + name)
        elif dataclasses.is_dataclass(annotation) and isinstance(annotation, type):
            found += tables(annotation, f"{prefix}{name}.")
    return found


def leaves(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every setting of a config by its dotted key, list items by their number."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        for field in dataclasses.fields(config):
            yield from leaves(getattr(config, field.name), f"{prefix}.{field.name}")
    elif isinstance(config, list):
        for number, item in enumerate(config):
            yield from leaves(item, f"{prefix}[{number}]")
    elif isinstance(config, dict):
        for key, item in config.items():
            yield from leaves(item, f"{prefix}.{key}")
    else:
        yield prefix.removeprefix("."), getattr(config, "value", config)


def require_finite(config: Any) -> None:
    """Refuse ``nan`` and ``inf``, which pass every bound and spoil every sum.

    Raises:
        ValueError: Naming the key.
    """
    for key, value in leaves(config):
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{key}: {value} is not a finite number")


def is_choice(kind: Any) -> bool:
    """Whether a field takes one of a few named values."""
    return isinstance(kind, type) and issubclass(kind, Enum)


def _annotations(schema: type[Any]) -> dict[str, Any]:
    return {field.name: field.type for field in dataclasses.fields(schema)}
