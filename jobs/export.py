"""Sprites to an engine's atlas: ``python -m jobs.export RUN --format bevy --out art/``.

RUN is a run folder of jobs.generate, or any folder of PNG files. See docs/export.md.
"""

import argparse
import sys
from pathlib import Path

from pipeline.core.errors import InputError, one_line_errors
from pipeline.export.conf import NAME_PATTERN, ExportConfig, ExportFormat
from pipeline.export.run import export


@one_line_errors
def main() -> int:
    """Write the folder and say what is in it."""
    arguments = _parse()
    options = vars(arguments) | {"format": ExportFormat(arguments.format)}
    source, out, only_passing = (options.pop(key) for key in ("source", "out", "only_passing"))
    try:
        cfg = ExportConfig(**options)
    except ValueError as error:
        raise InputError(str(error)) from None
    atlas = export(source, out, cfg, only_passing=only_passing)
    pages = ", ".join(f"{box.width_px}x{box.height_px}" for box in atlas.boxes)
    print(f"{len(atlas.placed)} sprites on {len(atlas.boxes)} pages ({pages}): {out}")
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m jobs.export", description=__doc__)
    add = parser.add_argument
    add("source", type=Path, help="run folder of jobs.generate, or folder of PNG files")
    add("--out", type=Path, required=True, help="folder to make")
    add("--format", choices=[kind.value for kind in ExportFormat], default="texturepacker")
    add("--size-px", type=int, default=2048, help="longest side of a page (2048)")
    add("--padding-px", type=int, default=2, help="transparent pixels between sprites (2)")
    add("--extrude-px", type=int, default=1, help="repeated border pixels around a sprite (1)")
    add("--trim", action="store_true", help="cut transparent borders, record their widths")
    add("--pot", action=argparse.BooleanOptionalAction, default=True, help="power-of-two pages")
    add("--dedupe", action="store_true", help="sprites with the same pixels share one place")
    add("--name-pattern", default=NAME_PATTERN, help="fields: category name variant frame index")
    add("--only-passing", action="store_true", help="only images whose finish verdict passes")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
