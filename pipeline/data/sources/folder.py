"""A folder of PNGs, each with a caption beside it or in its name."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.core.errors import InputError
from pipeline.data.captions import caption_of, group_of
from pipeline.data.conf import SourceConfig
from pipeline.data.sources.art import Art, Found, Rejected, Unusable, read_pixels

SUFFIXES = (".png",)


def read_folder(cfg: SourceConfig, *, max_px: int) -> Found:
    """Yield every PNG below ``cfg.path`` in name order.

    The caption is ``caption`` of ``<name>.json`` (which may also give ``licence``, ``attribution``
    and ``group``), or the text of ``<name>.txt``, or the file name in words, or ``cfg.caption``.

    Raises:
        InputError: ``cfg.path`` is not a folder.
    """
    root = require_folder(cfg.path)
    seen: dict[Path, Path] = {}
    for file in walk(root):
        name = file.relative_to(root).as_posix()
        try:
            told = _sidecar(file, seen)
            yield Art(
                name=name,
                pixels=read_pixels(file, max_px=max_px),
                caption=_caption(file, told, default=cfg.caption),
                licence=str(told.get("licence") or cfg.licence),
                attribution=str(told.get("attribution") or cfg.attribution),
                source=root.name,
                group=str(told.get("group") or group_of(Path(name).parent.as_posix(), file.stem)),
            )
        except Unusable as error:
            yield Rejected(name=name, reason=str(error))


def require_folder(path: Path | None) -> Path:
    """Return ``path`` when it is a folder that can be listed."""
    if path is None:
        raise InputError("source.path: not given; it names the folder of images")
    if not path.is_dir():
        raise InputError(f"source.path: {path} is not a folder")
    if not os.access(path, os.R_OK | os.X_OK):
        raise InputError(f"source.path: {path} cannot be read")
    return path


def walk(root: Path) -> Iterator[Path]:
    """Yield images below ``root`` in name order, links to files included, loops not followed."""
    for folder, subfolders, files in os.walk(root, followlinks=False):
        subfolders.sort()
        for name in sorted(files):
            if name.lower().endswith(SUFFIXES) and not name.startswith("._"):
                yield Path(folder, name)


def _caption(file: Path, told: dict[str, Any], *, default: str) -> str:
    caption = str(told.get("caption") or caption_of(file.stem) or default)
    if not caption:
        raise Unusable(
            f"no caption: no {file.stem}.txt, no {file.stem}.json, no word in its name; "
            "source.caption= would give one"
        )
    return caption


def _sidecar(file: Path, seen: dict[Path, Path]) -> dict[str, Any]:
    first = seen.setdefault(file.with_suffix(""), file)
    if first != file:
        raise Unusable(f"same name as {first.name}: one sidecar cannot caption both")
    told: dict[str, Any] = {}
    text, record = file.with_suffix(".txt"), file.with_suffix(".json")
    for sidecar in (text, record):
        if not sidecar.is_file():
            continue
        try:
            content = sidecar.read_text(encoding="utf-8-sig")
            found = (
                {"caption": " ".join(content.split())} if sidecar == text else json.loads(content)
            )
        except (OSError, ValueError) as error:
            raise Unusable(f"{sidecar.name}: {error}") from None
        if not isinstance(found, dict):
            raise Unusable(f"{sidecar.name}: expected an object, found {type(found).__name__}")
        told |= found
    return told
