"""A finishing as JSON, and back: what an image's provenance carries."""

from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, get_type_hints

from pipeline.core.errors import InputError
from pipeline.pixels.conf import FinishConfig

FORMAT = "dgx-pixels-finish/1"


def options(cfg: Any) -> dict[str, Any]:
    """Return a config as JSON: all fields, names of choices, names of files."""
    told: dict[str, Any] = {}
    for field in fields(cfg):
        value = getattr(cfg, field.name)
        match value:
            case Enum():
                told[field.name] = value.value
            case Path():
                # Its name: what it held is in the recipe, and where it lay is nobody's concern.
                told[field.name] = value.name
            case _:
                told[field.name] = options(value) if is_dataclass(value) else value
    return told


def from_options(told: dict[str, Any]) -> FinishConfig:
    """Return the config that ``options`` told.

    Raises:
        InputError: A key is not known, or a value is not allowed.
    """
    cfg = _build(FinishConfig, told, "finish")
    assert isinstance(cfg, FinishConfig), "asked for"
    return cfg


def _build(kind: type[Any], told: dict[str, Any], key: str) -> Any:
    hints = get_type_hints(kind)
    if unknown := sorted(told.keys() - hints.keys()):
        raise InputError(f"{key}.{unknown[0]}: not known; known are {', '.join(sorted(hints))}")
    try:
        return kind(**{name: _value(hints[name], told[name], f"{key}.{name}") for name in told})
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        raise InputError(str(error)) from None


def _value(hint: Any, value: Any, key: str) -> Any:
    if is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, dict):
            raise InputError(f"{key}: expected an object, found {type(value).__name__}")
        return _build(hint, value, key)
    if isinstance(hint, type) and issubclass(hint, Enum):
        try:
            return hint(value)
        except ValueError:
            names = ", ".join(str(choice.value) for choice in hint)
            raise InputError(f"{key}: {value!r} is not one of {names}") from None
    return Path(value) if hint == Path | None and isinstance(value, str) else value
