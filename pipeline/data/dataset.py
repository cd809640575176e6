"""A prepared data set: its card, and its images by number, straight out of memory-mapped shards.

<data set>/
  dataset.json                     card: counts, digests of shards, licences
  train-000000.tar  .idx           USTAR of 000000123.png, 000000123.json; DALI's text index
  validation-000000.tar  .idx
"""

import json
import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.core.errors import InputError
from pipeline.core.files import read_json

FORMAT = "dgx-pixels-dataset/1"
CARD = "dataset.json"
INDEX_VERSION = "v1.2"


@dataclass(frozen=True, slots=True)
class Extent:
    """Where one image's two files lie in a shard."""

    shard: int
    png: slice
    record: slice


class Split:
    """One split's images, numbered from 0."""

    def __init__(self, folder: Path, shards: list[dict[str, Any]]) -> None:
        self._maps: list[mmap.mmap] = []
        self._extents: list[Extent] = []
        for shard in shards:
            self._open(folder / shard["file"], folder / shard["index"], shard["num_images"])

    @classmethod
    def joined(cls, splits: "Sequence[Split]") -> "Split":
        """Put the images of several splits one after the other."""
        if len(splits) == 1:
            return splits[0]
        out = cls(Path(), [])
        for split in splits:
            first = len(out._maps)
            out._maps += split._maps
            out._extents += [Extent(first + e.shard, e.png, e.record) for e in split._extents]
        return out

    def __len__(self) -> int:
        return len(self._extents)

    def png_bytes(self, sample_id: int) -> bytes:
        """Return the PNG file of one image."""
        extent = self._extents[sample_id]
        return self._maps[extent.shard][extent.png]

    @cached_property
    def records(self) -> list[dict[str, Any]]:
        """Caption, source, licence, kind, group and pixel digest of each image."""
        return [json.loads(self._maps[e.shard][e.record]) for e in self._extents]

    @cached_property
    def captions(self) -> list[str]:
        """One caption an image."""
        return [str(record["caption"]) for record in self.records]

    def _open(self, tar: Path, index: Path, num_images: int) -> None:
        try:
            with tar.open("rb") as file:
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            lines = index.read_text(encoding="ascii").splitlines()
        except (OSError, ValueError) as error:
            raise InputError(f"{tar}: shard or its index cannot be read ({error})") from None
        if not lines or lines[0].split() != [INDEX_VERSION, str(num_images)]:
            raise InputError(f"{index}: does not list the {num_images} images of the card")
        shard = len(self._maps)
        self._maps.append(mapped)
        for line in lines[1:]:
            fields = line.split()
            try:
                spans = {
                    fields[i]: slice(int(fields[i + 1]), int(fields[i + 1]) + int(fields[i + 2]))
                    for i in range(0, len(fields), 4)
                }
            except (ValueError, IndexError):
                raise InputError(f"{index}: {line!r} is no line of an index") from None
            if set(spans) != {"png", "json"} or spans["json"].stop > len(mapped):
                raise InputError(f"{index}: {line!r} does not fit {tar.name}")
            if mapped[spans["png"]][:4] != b"\x89PNG":
                raise InputError(f"{index}: {fields[3]} is no PNG at that place of {tar.name}")
            self._extents.append(Extent(shard, spans["png"], spans["json"]))
        if len(lines) - 1 != num_images:
            raise InputError(f"{index}: lists {len(lines) - 1} images, the card says {num_images}")


@dataclass(frozen=True, slots=True)
class Dataset:
    """A data set that was opened and found to fit its card."""

    path: Path
    card: dict[str, Any]

    @classmethod
    def open(cls, path: Path) -> "Dataset":
        """Read the card and check that the shards are there with the sizes it gives.

        Raises:
            InputError: There is no data set, or it is not whole.
        """
        if not (path / CARD).is_file():
            raise InputError(
                f"data.path: {path} has no {CARD}; make it with "
                f"`python -m jobs.prepare +dataset={path.name}`"
            )
        card = read_json(path / CARD)
        if card.get("format") != FORMAT:
            raise InputError(f"{path / CARD}: format is {card.get('format')!r}, not {FORMAT!r}")
        for split in card["splits"].values():
            for shard in split["shards"]:
                file = path / shard["file"]
                size = file.stat().st_size if file.is_file() else None
                if size != shard["size_bytes"]:
                    raise InputError(f"{file}: {size} bytes, the card says {shard['size_bytes']}")
        return cls(path, card)

    @property
    def digest(self) -> str:
        """sha256 over all shards: the data set's identity."""
        return str(self.card["digest"])

    @property
    def size_px(self) -> int:
        """Side of every image."""
        return int(self.card["size_px"])

    @property
    def flip_ok(self) -> bool:
        """Whether a mirrored image is still right."""
        return bool(self.card["flip_ok"])

    def split(self, name: str) -> Split:
        """Open ``train`` or ``validation``; an absent split is empty."""
        found = self.card["splits"].get(name, {"shards": []})
        return Split(self.path, found["shards"])
