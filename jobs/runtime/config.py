"""Hydra composes, OmegaConf checks, and what comes out is a dataclass. The only user of both.

Every mistake a user can make here ends as one ``InputError`` that names the key.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from jobs.runtime.explain import explain, unknown_key, unreadable_override
from jobs.runtime.schema import known_keys, require_finite, tables
from pipeline.core.errors import InputError

CONFIGS = Path(__file__).parents[2] / "configs"

T = TypeVar("T")


def compose_config(job: str, schema: type[T], overrides: Sequence[str]) -> T:
    """Compose ``configs/<job>.yaml`` with overrides into ``schema``, running every check.

    Raises:
        InputError: A key, a value, a choice or a file is wrong; one line that names it.
    """
    ConfigStore.instance().store(name=f"{job}_schema", node=schema)
    _parse(overrides)
    try:
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            raw = compose(job, overrides=[_open_table(o, schema) for o in overrides])
        _refuse_added(raw, schema)
        loaded = OmegaConf.to_object(raw)
        require_finite(loaded)
    except (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError) as error:
        raise InputError(explain(error, schema)) from None
    assert isinstance(loaded, schema)
    return loaded


def expand_sweep(overrides: Sequence[str]) -> list[list[str]]:
    """Expand ``lora.rank=4,16`` into one list of overrides a point, the last key fastest.

    Raises:
        InputError: An override cannot be parsed.
    """
    axes = [
        [f"{o.get_key_element()}={value}" for value in o.sweep_string_iterator()]
        if o.is_sweep_override()
        else [o.input_line or ""]
        for o in _parse(overrides)
    ]
    return [list(point) for point in itertools.product(*axes)]


def _parse(overrides: Sequence[str]) -> list[Override]:
    parser = OverridesParser.create()
    parsed = []
    for text in overrides:
        try:
            parsed += parser.parse_overrides([text])
        except HydraException as error:
            raise InputError(unreadable_override(text, str(error).splitlines()[0])) from None
        if text.lstrip("+~").startswith("hydra"):
            raise InputError(f"{text}: Hydra's own settings have no effect here; --help lists ours")
    return parsed


def freeze(config: Any, *, base: Path) -> str:
    """Return a config as YAML with every path absolute against ``base``."""
    return yaml.safe_dump(_plain(config, base), sort_keys=False, allow_unicode=True)


def thaw(schema: type[T], text: str) -> T:
    """Turn a frozen config back into ``schema``.

    Raises:
        InputError: It does not fit the schema.
    """
    try:
        merged = OmegaConf.merge(OmegaConf.structured(schema), OmegaConf.create(text))
        loaded = OmegaConf.to_object(merged)
    except (OmegaConfBaseException, yaml.YAMLError, ValueError) as error:
        raise InputError(f"config.yaml: {explain(error, schema)}") from None
    assert isinstance(loaded, schema)
    return loaded


def _refuse_added(raw: Any, schema: type[Any]) -> None:
    """Refuse keys that ``+key=value`` put beside the schema's own; Hydra lets them pass."""
    known = set(known_keys(schema))
    sections = {key.rpartition(".")[0] for key in known}
    waiting = [("", raw)]
    while waiting:
        prefix, node = waiting.pop()
        for key in node:
            name = f"{prefix}{key}"
            if name not in known:
                raise InputError(unknown_key(name, schema))
            if name in sections and not OmegaConf.is_missing(node, key) and node[key] is not None:
                waiting.append((f"{name}.", node[key]))


def _open_table(override: str, schema: type[Any]) -> str:
    """Let ``cluster.env.NAME=...`` add a name: a table's keys are the user's, not the schema's."""
    key = override.partition("=")[0]
    is_in_table = any(key == table or key.startswith(f"{table}.") for table in tables(schema))
    return f"++{override}" if is_in_table else override


def choices(group: str) -> list[str]:
    """Return the names a config group offers."""
    return sorted(path.stem for path in (CONFIGS / group).glob("*.yaml"))


def _plain(value: Any, base: Path) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: _plain(getattr(value, field.name), base) for field in fields}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str((base / value).absolute())
    if isinstance(value, list):
        return [_plain(item, base) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item, base) for key, item in value.items()}
    return value
