"""From a folder of sprites to a folder that an engine reads."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.core.errors import InputError
from pipeline.export import aseprite, bevy, godot, sheet, texturepacker, tiled, unity
from pipeline.export.atlas import Atlas, build_atlas, encode, page_file, page_pixels
from pipeline.export.conf import ExportConfig, ExportFormat
from pipeline.export.folder import check_replaceable, write_folder
from pipeline.export.records import load_sprites

WRITERS: Mapping[ExportFormat, Callable[[Atlas], dict[str, bytes]]] = {
    ExportFormat.texturepacker: texturepacker.write,
    ExportFormat.aseprite: aseprite.write,
    ExportFormat.bevy: bevy.write,
    ExportFormat.godot: godot.write,
    ExportFormat.tiled: tiled.write,
    ExportFormat.unity: unity.write,
    ExportFormat.sheet: sheet.write,
}


def export(source: Path, out: Path, cfg: ExportConfig, *, only_passing: bool = False) -> Atlas:
    """Write an atlas of all sprites of a run or a folder; everything appears at once.

    Args:
        source: Run folder of jobs.generate, or folder of PNG files.
        out: Folder to make; replaced when it is an export that nobody changed since.
        cfg: Format, sizes and names.
        only_passing: Only images whose record says that they pass.

    Returns:
        What was placed where.

    Raises:
        InputError: Sprites, options or ``out`` are not usable; nothing was written.
    """
    check_replaceable(out)
    sprites = load_sprites(
        source, name_pattern=cfg.name_pattern, max_px=cfg.size_px, only_passing=only_passing
    )
    atlas = build_atlas(sprites, cfg)
    options = asdict(cfg) | {"format": cfg.format.value, "only_passing": only_passing}
    write_atlas(out, atlas, WRITERS[cfg.format](atlas), told={"options": options})
    return atlas


def write_atlas(
    out: Path, atlas: Atlas, described: Mapping[str, bytes], *, told: Mapping[str, Any]
) -> None:
    """Write pages and the files that describe them.

    Raises:
        InputError: Two files would have one name, or ``out`` may not be replaced.
    """
    pages = {page_file(page): encode(page_pixels(atlas, page)) for page in range(len(atlas.boxes))}
    _check_names([*pages, *described, "export.json"])
    write_folder(out, pages | dict(described), {**told, "sprites": _listing(atlas)})


def _check_names(names: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name.lower() in seen:
            raise InputError(f"name_pattern: two files would be called {name}")
        seen.add(name.lower())


def _listing(atlas: Atlas) -> list[dict[str, Any]]:
    return [
        {
            "name": item.sprite.name,
            "file": item.sprite.file,
            "sha256": item.sprite.sha256,
            "prompt": item.sprite.prompt,
            "image": page_file(item.page),
            "rect_px": [item.x_px, item.y_px, item.width_px, item.height_px],
            "offset_px": [item.offset_x_px, item.offset_y_px],
            "source_size_px": [item.source_width_px, item.source_height_px],
        }
        for item in atlas.placed
    ]
