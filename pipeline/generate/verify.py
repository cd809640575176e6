"""Are the images what their records and their own metadata say? Reads all, changes nothing."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from pipeline.core.errors import InputError
from pipeline.core.files import sha256_bytes
from pipeline.core.rundir import RunDir
from pipeline.generate.png import pixels_digest, provenance_of
from pipeline.generate.summary import expected_count, read_records


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is not as it was made."""

    path: Path
    what: str


def check_run(run_dir: RunDir) -> Iterator[Fault]:
    """Yield what is wrong with a run: missing, changed, foreign, doubled.

    Raises:
        InputError: It is no run of ``jobs.generate``.
    """
    records = read_records(run_dir)
    expected = expected_count(run_dir)
    seen: set[str] = set()
    indices = [int(record["index"]) for record in records]
    for index in sorted(set(range(expected)) - set(indices)):
        yield Fault(run_dir.images, f"image {index} of {expected} has no record")
    for record in records:
        path = run_dir.images / str(record["file"])
        if record["file"] in seen:
            yield Fault(path, "has two records")
        seen.add(str(record["file"]))
        yield from _check_recorded(path, record)
    if run_dir.images.is_dir():
        for path in sorted(run_dir.images.iterdir()):
            # Hidden ones are files that a kill found half-written: nobody takes them for images.
            if path.name not in seen and not path.name.startswith("."):
                yield Fault(path, "is foreign: no record names it")


def _check_recorded(path: Path, record: Mapping[str, Any]) -> Iterator[Fault]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        yield Fault(path, "is missing")
        return
    if sha256_bytes(data) != record["sha256"]:
        yield Fault(path, f"was changed: sha256 is not the recorded {record['sha256'][:12]}...")
    told, faults = _read(path, data)
    yield from faults
    if faults:
        return
    for key in ("index", "prompt", "seed", "attempt"):
        if told.get(key) != record[key]:
            yield Fault(path, f"says {key} {told.get(key)!r}, its record {record[key]!r}")


def check_image(path: Path, data: bytes) -> list[Fault]:
    """Return what is wrong with a file by itself: its pixels against its own metadata."""
    return _read(path, data)[1]


def _read(path: Path, data: bytes) -> tuple[dict[str, Any], list[Fault]]:
    """Return an image's metadata and what is wrong with it."""
    try:
        with Image.open(BytesIO(data)) as image:
            pixels, told = np.asarray(image), provenance_of(image)
    except (
        UnidentifiedImageError,
        Image.DecompressionBombError,
        OSError,
        SyntaxError,
        ValueError,
    ) as error:
        return {}, [Fault(path, f"is not a whole PNG ({error})")]
    if "pixels_sha256" not in told:
        return told, [Fault(path, "is foreign: it does not say what made it")]
    if pixels_digest(pixels) != told["pixels_sha256"]:
        what = "was changed: its pixels are not those that its metadata names"
        return told, [Fault(path, what)]
    return told, []


def images_of(path: Path) -> list[Path]:
    """Return the PNG files that ``path`` means: itself, those of a folder, those of a run.

    Raises:
        InputError: There are none.
    """
    if path.is_file():
        return [path]
    for folder in (RunDir(path).images, path):
        found = sorted(folder.glob("*.png")) if folder.is_dir() else []
        if found:
            return found
    raise InputError(f"{path}: neither a PNG nor a folder with some")
