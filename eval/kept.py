"""What an evaluation was held against, kept so that it can be held against it again.

RUN/reference/
  index.json        which set it is; of each picture its sha256, its prompt and where it was
  000000000.png     byte for byte
"""

import os
from pathlib import Path
from typing import Any

from eval.drawn import list_drawn
from pipeline.core.errors import InputError
from pipeline.core.files import sha256_bytes, whole_folder, write_json
from pipeline.data.dataset import Dataset

FORMAT = "dgx-pixels-reference/1"
INDEX = "index.json"
HELD_OUT = "validation"


def keep_reference(path: Path, folder: Path, *, name: str) -> dict[str, Any]:
    """Copy a set's pictures into a folder that is whole or absent; it replaces an older one.

    Args:
        path: Run of jobs.generate or folder of PNG.
        folder: Where the copies go.
        name: What the set is called in the report.

    Returns:
        What ``report.json`` says of them.

    Raises:
        InputError: A picture is gone, or two have one name.
    """
    listed = list_drawn(path)
    with whole_folder(folder) as scratch:
        rows = []
        for file, record in listed.items():
            data = _bytes(file)
            _write_new(scratch / file.name, data)
            row = {"file": file.name, "sha256": sha256_bytes(data), "source": str(file.absolute())}
            rows.append(row | {"prompt": record.get("prompt")})
        told = {"set": name, "path": str(path), "num_images": len(rows)}
        write_json(scratch / INDEX, {"format": FORMAT, **told, "images": rows})
    return told | {"folder": folder.name}


def art_identity(path: Path) -> dict[str, Any]:
    """Say which art was held against: the data set's digest, and each held-out image.

    The digest stands for the training art as well: it is over all shards.

    Raises:
        InputError: There is no data set, or it is not whole.
    """
    dataset = Dataset.open(path)
    records = dataset.split(HELD_OUT).records
    return {
        "path": str(path),
        "name": dataset.card.get("name"),
        "digest": dataset.digest,
        "split": HELD_OUT,
        "held_out": [{"name": each.get("name"), "sha256": each.get("sha256")} for each in records],
    }


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from None


def _write_new(path: Path, data: bytes) -> None:
    try:
        with path.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise InputError(f"{path.name}: two pictures have this name") from None
