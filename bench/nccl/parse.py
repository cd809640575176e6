"""What nccl-tests wrote, JSON or text, old or new, whole or half, as one ``Sweep``."""

import dataclasses
from pathlib import Path

from bench.nccl.parse_json import parse_json
from bench.nccl.parse_text import parse_text
from bench.nccl.sweep import Sweep
from pipeline.core.errors import InputError


def read_output(path: Path, *, operation: str | None = None) -> Sweep:
    """Read a file of nccl-tests' output.

    Raises:
        InputError: It is missing or not such an output; the line names it.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    return parse_output(text, operation=operation, name=str(path))


def parse_output(text: str, *, operation: str | None = None, name: str = "output") -> Sweep:
    """Parse what a program of nccl-tests wrote.

    What is half-written gives the rows that are whole and ``complete=False``.

    Args:
        text: Its JSON file (``-J``) or what it printed.
        operation: What was run; old versions do not say it themselves.
        name: What to call it in an error.

    Raises:
        InputError: It is empty, another program's, or another operation's.
    """
    if not text.strip():
        raise InputError(f"{name}: empty; nccl-tests wrote nothing")
    sweep = (parse_json if text.lstrip().startswith("{") else parse_text)(text, name=name)
    told = sweep.operation
    if operation and told not in ("unknown", operation):
        raise InputError(f"{name}: holds {told}, expected {operation}")
    return dataclasses.replace(sweep, operation=operation or told)
