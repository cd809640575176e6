"""Two runs' images side by side: ``python -m jobs.sheet BASE_RUN LORA_RUN --out sheet.png``."""

import argparse
import sys
from io import BytesIO
from pathlib import Path

from PIL import Image

from pipeline.core.errors import InputError, one_line_errors
from pipeline.core.files import write_atomic
from pipeline.core.rundir import RunDir
from pipeline.core.sheet import side_by_side


@one_line_errors
def main() -> int:
    """Write the sheet: each pair is the same index (prompt and seed) of both runs."""
    parser = argparse.ArgumentParser(prog="python -m jobs.sheet", description=__doc__)
    parser.add_argument("left", type=Path, help="run folder of jobs.generate, shown left")
    parser.add_argument("right", type=Path, help="run folder of jobs.generate, shown right")
    parser.add_argument("--out", type=Path, required=True, help="PNG to write")
    parser.add_argument("--pairs", type=int, default=4, help="pairs in a row")
    arguments = parser.parse_args()
    left, right = (_images(RunDir(path)) for path in (arguments.left, arguments.right))
    if left.keys() != right.keys():
        raise InputError(f"{arguments.right}: not the same images as {arguments.left}")
    names = sorted(left)
    sheet = side_by_side([left[n] for n in names], [right[n] for n in names], pairs=arguments.pairs)
    buffer = BytesIO()
    sheet.save(buffer, format="PNG")
    write_atomic(arguments.out, buffer.getvalue())
    return 0


def _images(run: RunDir) -> dict[str, Image.Image]:
    files = sorted(run.images.glob("*.png"))
    if not files:
        raise InputError(f"{run.path}: no images there; is it a run of jobs.generate?")
    return {file.name: _open(file) for file in files}


def _open(file: Path) -> Image.Image:
    # Copied: a file that stays open a picture would use up what a process may open.
    with Image.open(file) as image:
        return image.copy()


if __name__ == "__main__":
    sys.exit(main())
