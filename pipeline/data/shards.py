"""Writing WebDataset shards with DALI's index. Same images, same bytes."""

import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from PIL import Image

from pipeline.core.files import sha256_bytes, write_atomic
from pipeline.core.picture import png_bytes
from pipeline.data.dataset import INDEX_VERSION
from pipeline.data.sources.art import Pixels

Sample = tuple[int, Pixels, Mapping[str, Any]]
"""Global number, RGBA pixels, record."""


def encode_png(pixels: Pixels) -> bytes:
    """Encode RGBA bytes as PNG; every image of a data set is RGBA8, so that DALI keeps alpha."""
    return png_bytes(Image.fromarray(pixels), optimize=True)


def write_shards(
    folder: Path, split: str, samples: Iterable[Sample], *, images_per_shard: int
) -> list[dict[str, Any]]:
    """Write one split and return the card's entries, one a shard."""
    entries = []
    waiting: Iterator[Sample] = iter(samples)
    for number in range(10**6):
        part = list(islice(waiting, images_per_shard))
        if not part:
            break
        stem = f"{split}-{number:06d}"
        tar, index = _pack(part)
        write_atomic(folder / f"{stem}.tar", tar)
        write_atomic(folder / f"{stem}.idx", index)
        entries.append(
            {
                "file": f"{stem}.tar",
                "index": f"{stem}.idx",
                "num_images": len(part),
                "size_bytes": len(tar),
                "sha256": sha256_bytes(tar),
            }
        )
    return entries


def _pack(samples: list[Sample]) -> tuple[bytes, bytes]:
    buffer = io.BytesIO()
    lines = [f"{INDEX_VERSION} {len(samples)}"]
    # USTAR with short names: DALI's index reads GNU long names wrongly.
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for number, pixels, record in samples:
            text = json.dumps(record, sort_keys=True, ensure_ascii=True).encode()
            fields = []
            for suffix, data in (("png", encode_png(pixels)), ("json", text)):
                info = tarfile.TarInfo(f"{number:09d}.{suffix}")
                info.size = len(data)
                info.mode = 0o644
                tar.addfile(info, io.BytesIO(data))
                offset = buffer.tell() - -(-len(data) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
                fields.append(f"{suffix} {offset} {len(data)} {info.name}")
            lines.append(" ".join(fields))
    return buffer.getvalue(), ("\n".join(lines) + "\n").encode("ascii")
