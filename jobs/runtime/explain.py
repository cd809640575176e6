"""Turn what Hydra, OmegaConf and YAML raise into one line: the key, and what is allowed."""

import difflib
import re
from typing import Any

import yaml
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)

from jobs.runtime.schema import known_keys

COMPOSITIONS = {"experiment", "dataset", "work"}
"""Groups that are whole compositions: they are added with ``+``, since no default names them."""


def explain(error: BaseException, schema: type[Any]) -> str:
    """Return the line."""
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(cause)
    for link in reversed(chain):
        if isinstance(link, yaml.YAMLError):
            return f"bad YAML: {' '.join(str(link).split())}"
    for link in chain:
        if isinstance(link, OmegaConfBaseException) and link.full_key:
            return _explain_key(link, schema)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if "Available options" in str(error):
        options = [line for line in lines[2:] if not line.startswith(("Config search", "provider"))]
        return f"{lines[0].rstrip('.')}; allowed: {', '.join(options)}"
    return _explain_group(lines[0]) if lines else type(error).__name__


def unknown_key(key: str, schema: type[Any]) -> str:
    """Say that a key is unknown, and which ones look like it."""
    near = difflib.get_close_matches(key, known_keys(schema), n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else "--help lists all keys"
    return f"{key}: unknown key; {hint}"


def unreadable_override(override: str, why: str) -> str:
    """Say that an argument is not an override at all."""
    return f"{override!r}: not key=value as Hydra reads it ({why}); quote lists: 'key=[a, b]'"


def _explain_group(line: str) -> str:
    absent = re.search(r"Could not override '([\w/]+)'", line)
    if absent and absent.group(1) in COMPOSITIONS:
        return f"{absent.group(1)}: write it with a plus sign: +{absent.group(1)}=NAME"
    twice = re.search(r"Multiple values for ([\w/]+)", line)
    if twice:
        return f"{twice.group(1)}: given twice; write {twice.group(1)}=NAME once, without a plus"
    return line


def _explain_key(error: OmegaConfBaseException, schema: type[Any]) -> str:
    key = str(error.full_key)
    if isinstance(error, MissingMandatoryValue):
        return f"{key}: required and not given; set {key}=..."
    if isinstance(error, (ConfigKeyError, ConfigAttributeError)):
        return unknown_key(key, schema)
    line = str(error).splitlines()[0]
    if "is not a ListConfig" in line:
        return f"{key}: not a list; write '{key}=[a, b]'"
    if "is not Optional" in line:
        return f"{key}: null is not allowed"
    return f"{key}: {line}"
