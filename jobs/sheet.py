"""A run's images at a glance, or two runs' side by side.

``python -m jobs.sheet RUN --repeat 4 --out tiled.png``: each image four by four, to see its seams.
``python -m jobs.sheet BASE_RUN LORA_RUN --out sheet.png``: the same index of both, in pairs.
"""

import argparse
import sys
from pathlib import Path

from PIL import Image

from pipeline.core.errors import InputError, one_line_errors
from pipeline.core.files import write_atomic
from pipeline.core.picture import load_picture, png_bytes
from pipeline.core.rundir import RunDir
from pipeline.core.sheet import contact_sheet, repeat, side_by_side


@one_line_errors
def main() -> int:
    """Write the sheet."""
    parser = argparse.ArgumentParser(
        prog="python -m jobs.sheet",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("left", type=Path, help="run folder of jobs.generate")
    parser.add_argument("right", type=Path, nargs="?", help="another, shown right of the first")
    parser.add_argument("--out", type=Path, required=True, help="PNG to write")
    parser.add_argument("--pairs", type=int, default=4, help="pairs, or images, in a row")
    parser.add_argument("--repeat", type=int, default=1, help="times an image is repeated each way")
    parser.add_argument("--first", type=int, help="only so many images")
    parser.add_argument("--enlarge", type=int, default=4, help="integer, nearest neighbour")
    arguments = parser.parse_args()
    for name in ("pairs", "repeat", "first", "enlarge"):
        if (getattr(arguments, name) or 1) < 1:
            raise InputError(f"--{name}: {getattr(arguments, name)} is below 1")
    left = _images(RunDir(arguments.left))
    names = sorted(left)[: arguments.first]
    times, enlarge = arguments.repeat, arguments.enlarge
    if arguments.right is None:
        shown = [repeat(left[name], times) for name in names]
        sheet = contact_sheet(shown, columns=arguments.pairs, enlarge=enlarge)
    else:
        right = _images(RunDir(arguments.right))
        if left.keys() != right.keys():
            raise InputError(f"{arguments.right}: not the same images as {arguments.left}")
        sheet = side_by_side(
            [repeat(left[name], times) for name in names],
            [repeat(right[name], times) for name in names],
            pairs=arguments.pairs,
            enlarge=enlarge,
        )
    write_atomic(arguments.out, png_bytes(sheet))
    return 0


def _images(run: RunDir) -> dict[str, Image.Image]:
    files = sorted(run.images.glob("*.png"))
    if not files:
        raise InputError(f"{run.path}: no images there; is it a run of jobs.generate?")
    return {file.name: load_picture(file) for file in files}


if __name__ == "__main__":
    sys.exit(main())
