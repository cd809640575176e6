"""Where sprites come from: a run folder of jobs.generate, or a plain folder of PNG files.

Shape legend: H, W pixels of one sprite; 4 is red, green, blue and straight (not premultiplied)
alpha.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from pipeline.core.errors import InputError
from pipeline.core.files import sha256_bytes
from pipeline.core.manifest import read_manifest
from pipeline.core.rundir import RunDir
from pipeline.export.naming import Label, asset_names, label_of_file, label_of_prompt, tell_apart

MODES = ("RGBA", "RGB", "P", "LA", "L", "1")
"""Modes of 8 bits or less a channel: what RGBA bytes hold without loss."""
NEEDED = {"file": str, "index": int, "prompt": str, "seed_number": int, "sha256": str}


@dataclass(frozen=True, kw_only=True, slots=True)
class Sprite:
    """One picture with its name."""

    name: str
    label: Label
    file: str
    """Name of the file it was read from."""
    sha256: str
    """Digest of that file."""
    prompt: str | None
    pixels_HWC: UInt8[np.ndarray, "H W 4"]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    path: Path
    label: Label
    prompt: str | None
    data: bytes


def load_sprites(
    source: Path, *, name_pattern: str, max_px: int, only_passing: bool = False
) -> list[Sprite]:
    """Read all sprites, in the order of their index, or of their file names.

    Args:
        source: Run folder of jobs.generate, or folder of PNG files.
        name_pattern: See ``pipeline.export.naming``.
        max_px: Longest side allowed.
        only_passing: Keep images whose record says ``finish.verdict.passes``.

    Raises:
        InputError: No image, or one that is missing, changed, broken or too large, by its name.
    """
    if not source.is_dir():
        raise InputError(f"{source}: no such folder")
    if any(source.glob("manifest-*.jsonl")):
        found = _read_run(RunDir(source), only_passing=only_passing)
    elif only_passing:
        raise InputError(f"{source}: only_passing needs a run folder with manifests")
    else:
        found = _read_folder(source)
    labels = tell_apart([item.label for item in found])
    names = asset_names(labels, name_pattern)
    return [
        Sprite(
            name=name,
            label=label,
            file=item.path.name,
            sha256=sha256_bytes(item.data),
            prompt=item.prompt,
            pixels_HWC=decode(item.data, path=item.path, max_px=max_px),
        )
        for item, label, name in zip(found, labels, names, strict=True)
    ]


def decode(data: bytes, *, path: Path, max_px: int) -> UInt8[np.ndarray, "H W 4"]:
    """Decode one PNG to its exact RGBA bytes.

    Raises:
        InputError: Not a whole PNG, deeper than 8 bits, animated, or larger than ``max_px``.
    """
    try:
        with Image.open(BytesIO(data), formats=["PNG"]) as image:
            if image.mode not in MODES:
                raise InputError(f"{path}: mode {image.mode}; allowed: {', '.join(MODES)}")
            if max(image.size) > max_px:
                raise InputError(f"{path}: {image.width}x{image.height} px, size_px is {max_px}")
            if getattr(image, "n_frames", 1) > 1:
                raise InputError(f"{path}: an animated PNG; give its frames as files")
            return np.array(image.convert("RGBA"))
    except InputError:
        raise
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: not a whole PNG ({error})") from None


def _read_run(run: RunDir, *, only_passing: bool) -> list[_Found]:
    records: dict[int, list[dict[str, Any]]] = {}
    for manifest in sorted(run.path.glob("manifest-*.jsonl")):
        for record in read_manifest(manifest):
            _check_record(record, manifest)
            records.setdefault(int(record["index"]), []).append(record)
    kept = [_read_image(run, records[index]) for index in sorted(records)]
    if only_passing:
        kept = [(path, data, record) for path, data, record in kept if _passes(record, path)]
    if not kept:
        raise InputError(f"{run.path}: no image to export")
    found = []
    for position, (path, data, record) in enumerate(kept):
        label = label_of_prompt(record["prompt"], variant=record["seed_number"], index=position)
        found.append(_Found(path=path, label=label, prompt=record["prompt"], data=data))
    return found


def _read_image(
    run: RunDir, records: Sequence[dict[str, Any]]
) -> tuple[Path, bytes, dict[str, Any]]:
    """Read one image; of the records of one that was made again, take the one that fits."""
    path = run.images / records[-1]["file"]
    data = _read(path)
    digest = sha256_bytes(data)
    for record in records:
        if record["sha256"] == digest:
            return path, data, record
    raise InputError(
        f"{path}: changed since it was made: sha256 is {digest[:12]}, its record says "
        f"{records[-1]['sha256'][:12]}"
    )


def _read_folder(folder: Path) -> list[_Found]:
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() == ".png")
    if not paths:
        raise InputError(f"{folder}: no PNG files there, and it is no run of jobs.generate")
    return [
        _Found(path=path, label=label_of_file(path.stem, index=i), prompt=None, data=_read(path))
        for i, path in enumerate(paths)
    ]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise InputError(f"{path}: the image is missing") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def _check_record(record: Mapping[str, Any], manifest: Path) -> None:
    for key, kind in NEEDED.items():
        value = record.get(key)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise InputError(f"{manifest}: {key} is {value!r}, not {kind.__name__}")
    file = Path(record["file"])
    if file.name != record["file"]:
        raise InputError(f"{manifest}: file {record['file']!r} is not a plain file name")
    if record["index"] < 0 or record["seed_number"] < 0:
        raise InputError(f"{manifest}: index or seed_number of {file} is below 0")


def _passes(record: Mapping[str, Any], path: Path) -> bool:
    try:
        passes = record["finish"]["verdict"]["passes"]
    except (KeyError, TypeError):
        passes = None
    if not isinstance(passes, bool):
        raise InputError(
            f"{path}: its record has no finish.verdict.passes, which only_passing reads"
        )
    return passes
