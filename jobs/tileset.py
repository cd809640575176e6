"""Two terrain tiles to all tiles between: ``python -m jobs.tileset GRASS SAND --out ts/``.

GRASS and SAND are opaque PNG files of one size, or folders of them as variants. See docs/export.md.
"""

import argparse
import sys
from pathlib import Path

from pipeline.core.errors import InputError, one_line_errors
from pipeline.export.tileset import TilesetConfig, export_tileset
from pipeline.export.wang import Boundary, WangKind


@one_line_errors
def main() -> int:
    """Write the folder and say what is in it."""
    options = vars(_parse())
    first, second, out = (options.pop(key) for key in ("first", "second", "out"))
    options["kind"] = WangKind(options["kind"])
    options["boundary"] = Boundary(options["boundary"])
    try:
        cfg = TilesetConfig(**options)
    except ValueError as error:
        raise InputError(str(error)) from None
    atlas = export_tileset(first, second, out, cfg)
    box = atlas.boxes[0]
    print(f"{len(atlas.placed)} tiles on {box.width_px}x{box.height_px} px: {out}")
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m jobs.tileset", description=__doc__)
    add = parser.add_argument
    add("first", type=Path, help="terrain A: PNG, or folder of PNG variants")
    add("second", type=Path, help="terrain B, which grows into A")
    add("--out", type=Path, required=True, help="folder to make")
    add("--kind", choices=[kind.value for kind in WangKind], default="corner")
    add("--boundary", choices=[kind.value for kind in Boundary], default="hard")
    add("--roughness", type=float, default=0.25, help="how far noise moves the line (0.25)")
    add("--seed", type=int, default=0, help="decides the noise")
    add("--num-variants", type=int, default=1, help="tiles for each neighbourhood (1)")
    add("--size-px", type=int, default=2048, help="longest side of the page (2048)")
    add("--padding-px", type=int, default=2, help="transparent pixels between tiles (2)")
    add("--extrude-px", type=int, default=1, help="repeated border pixels around a tile (1)")
    add("--pot", action=argparse.BooleanOptionalAction, default=True, help="power-of-two page")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
