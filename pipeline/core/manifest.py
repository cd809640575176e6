"""A manifest: one JSON object a line, appended once its file is in place.

A process may die in the middle of a line, so reading passes over a torn last line, and appending
after a restart cuts it off first.
"""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline.core.errors import InputError


def read_manifest(path: Path) -> list[dict[str, Any]]:
    """Return the records of a manifest, an empty list when there is no file.

    Raises:
        InputError: A line other than the last is not a JSON object.
    """
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")
    records = []
    # What follows the last newline is torn, or empty.
    for number, line in enumerate(lines[:-1], start=1):
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict):
            raise InputError(f"{path}:{number}: not a record; found {line[:40]!r}")
        records.append(record)
    return records


class ManifestWriter:
    """Appends records; each is one write followed by a flush to disk."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab+")
        self._cut_torn_line()

    def append(self, record: Mapping[str, Any]) -> None:
        """Add one record."""
        self.extend([record])

    def extend(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Add records, flushed together."""
        for record in records:
            line = json.dumps(dict(record), sort_keys=True, allow_nan=False) + "\n"
            self._file.write(line.encode())
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _cut_torn_line(self) -> None:
        self._file.seek(0)
        self._file.truncate(self._file.read().rfind(b"\n") + 1)
        self._file.seek(0, os.SEEK_END)
