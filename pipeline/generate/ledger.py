"""What a run has made so far, read from its manifests as they grow.

Each rank appends to a manifest of its own; anybody may read them all. An image that was drawn again
has a record a round, and the file is the last round's.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from pipeline.core.errors import InputError
from pipeline.core.files import sha256_file
from pipeline.core.manifest import read_manifest
from pipeline.core.rundir import RunDir
from pipeline.generate.gates import Looks
from pipeline.generate.png import provenance_of


@dataclass(frozen=True, slots=True)
class Entry:
    """The little of a record that is kept in memory."""

    num_bytes: int
    sha256: str
    looks: Looks


class Ledger:
    """All records of a run's manifests, by image and round."""

    def __init__(self, run_dir: RunDir) -> None:
        self.run_dir = run_dir
        self._entries: dict[tuple[int, int], Entry] = {}
        self._latest: dict[int, int] = {}
        self._offsets: dict[Path, int] = {}

    def refresh(self) -> None:
        """Read what was appended since the last time; a torn last line waits for its end.

        Raises:
            InputError: A whole line is not a record.
        """
        for path in sorted(self.run_dir.path.glob("manifest-*.jsonl")):
            start = self._offsets.get(path, 0)
            with path.open("rb") as file:
                file.seek(start)
                data = file.read()
            end = data.rfind(b"\n") + 1
            for line in data[:end].splitlines():
                self._take(path, line)
            self._offsets[path] = start + end

    def _take(self, path: Path, line: bytes) -> None:
        try:
            record = json.loads(line)
            index, attempt = int(record["index"]), int(record["attempt"])
            looks = Looks(
                int(record["hash"], 16), float(record["coverage"]), bool(record["passes"])
            )
            entry = Entry(int(record["num_bytes"]), str(record["sha256"]), looks)
        except (ValueError, KeyError, TypeError):
            raise InputError(f"{path}: not a record of this format: {line[:60]!r}") from None
        self._entries[index, attempt] = entry
        self._latest[index] = max(attempt, self._latest.get(index, 0))

    def drop_missing(self) -> int:
        """Forget the last record of every image whose file is gone or another than it says.

        Of images that were drawn once, sizes are compared and bytes are not read: a file appears
        whole or not at all, and ``jobs.verify`` reads them. A file of a later round than the last
        record is another process's that is about to be recorded, or was killed before that.

        Returns:
            How many were forgotten.
        """
        before = len(self._entries)
        sizes: dict[str, int] = {}
        if self.run_dir.images.is_dir():
            with os.scandir(self.run_dir.images) as files:
                sizes = {file.name: file.stat().st_size for file in files if file.is_file()}
        for index, attempt in list(self._latest.items()):
            size = sizes.get(image_name(index))
            if size is not None and self._is_recorded(index, attempt, size):
                continue
            del self._entries[index, attempt]
            # Rounds before it stay: they are what the decision to draw it again rests on.
            self._latest[index] = attempt - 1
            if attempt == 0:
                del self._latest[index]
        return before - len(self._entries)

    def _is_recorded(self, index: int, attempt: int, size: int) -> bool:
        entry, path = self._entries[index, attempt], self.run_dir.images / image_name(index)
        if size == entry.num_bytes and (attempt == 0 or sha256_file(path) == entry.sha256):
            return True
        try:
            with Image.open(path) as image:
                found = provenance_of(image).get("attempt")
        except (OSError, SyntaxError, ValueError):
            return False
        return isinstance(found, int) and found > attempt

    def has(self, index: int, attempt: int) -> bool:
        """Whether an image of a round was made; a later round may have replaced it."""
        return (index, attempt) in self._entries

    def missing(self, indices: Iterable[int], attempt: int) -> list[int]:
        """Return those images of a round that are not there."""
        return [index for index in indices if (index, attempt) not in self._entries]

    def looks(self, index: int, attempt: int) -> Looks:
        """Return what an image of a round looked like."""
        return self._entries[index, attempt].looks

    def attempt(self, index: int) -> int:
        """Return the round whose image is in place."""
        return self._latest[index]

    @property
    def num_records(self) -> int:
        """Images that were made, redraws counted: what grows while a run gets on."""
        return len(self._entries)

    def __len__(self) -> int:
        """Images that are in place."""
        return len(self._latest)


def image_name(index: int) -> str:
    """Return the file name of an image."""
    return f"{index:09d}.png"


def all_records(run_dir: RunDir) -> dict[int, dict[str, Any]]:
    """Return each image's last record, read from the manifests.

    Where two ranks made the same image, their records are the same; on hardware that does not
    repeat itself, the one that fits the file counts.

    Raises:
        InputError: A line is not a record.
    """
    found: dict[int, dict[str, Any]] = {}
    for path in sorted(run_dir.path.glob("manifest-*.jsonl")):
        for record in read_manifest(path):
            index = int(record["index"])
            old = found.get(index)
            if old is not None and old["attempt"] == record["attempt"]:
                if old["sha256"] == record["sha256"]:
                    continue
                file = run_dir.images / str(record["file"])
                if not file.is_file() or sha256_file(file) != record["sha256"]:
                    continue
            elif old is not None and old["attempt"] > record["attempt"]:
                continue
            found[index] = record
    return found
