"""What ``metrics.jsonl`` of a run tells: a figure against images seen, and how far it came."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jobs.records.runs import BROKEN
from pipeline.core.errors import InputError
from pipeline.core.numbers import number

TAIL_BYTES = 65536
"""Of the file, to find its last row, which is far shorter."""


def read_curve(path: Path, key: str) -> tuple[list[int], list[float]]:
    """Read one figure of a ``metrics.jsonl`` against images seen.

    A torn last line, and rows without the figure, are passed over.

    Returns:
        Images, in the order of the file; values.

    Raises:
        InputError: Another line is not JSON, or the file cannot be opened.
    """
    points = [
        (int(at), value)
        for row in _rows(path)
        if (value := number(row.get(key))) is not None
        and (at := number(row.get("num_images"))) is not None
    ]
    return [at for at, _ in points], [float(value) for _, value in points]


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    for at, line in enumerate(text.split("\n")[:-1], start=1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise InputError(f"{path}:{at}: not a row of figures; found {line[:40]!r}")
        yield row


def last_position(path: Path) -> float | None:
    """Return images seen as the last whole row of a ``metrics.jsonl`` has them.

    None: there is no such row.
    """
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            line = file.read().rpartition(b"\n")[0].rpartition(b"\n")[2]
        return number(json.loads(line)["num_images"])
    except BROKEN:
        return None
