"""Runs another package over a folder of PNG files; needs nothing of this project.

    build/rivals/bin/python bench/rivals/run.py unfake IN_FOLDER OUT_FOLDER

Default settings, one thread, one process. Pictures are decoded before the clock starts. Writes the
results as PNG of the same names, and ``results.json``: seconds, and what could not be processed.
"""

import contextlib
import io
import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image


def proper_pixel_art() -> Callable[[Image.Image], Image.Image]:
    """Return proper-pixel-art's one call."""
    from proper_pixel_art import pixelate

    return lambda image: pixelate(image).image


def unfake() -> Callable[[Image.Image], Image.Image]:
    """Return unfake's one call."""
    from unfake import process_image_sync

    def process(image: Image.Image) -> Image.Image:
        result = process_image_sync(np.asarray(image.convert("RGBA")))["image"]
        return result if isinstance(result, Image.Image) else Image.fromarray(result)

    return process


TOOLS = {"proper-pixel-art": proper_pixel_art, "unfake": unfake}


def main() -> int:
    """Process every picture once, after one that is not counted."""
    name, source, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    logging.disable(logging.CRITICAL)
    cv2.setNumThreads(1)
    process = TOOLS[name]()
    images = {file.name: Image.open(file).convert("RGB") for file in sorted(source.glob("*.png"))}
    failed: dict[str, str] = {}
    spent_s = 0.0
    for number, (file, image) in enumerate([*list(images.items())[:1], *images.items()]):
        start = time.perf_counter()
        try:
            with (
                contextlib.redirect_stdout(io.StringIO()),
                contextlib.redirect_stderr(io.StringIO()),
            ):
                result = process(image)
        except Exception as error:
            failed[file] = f"{type(error).__name__}: {error}"
            result = None
        spent_s += (time.perf_counter() - start) if number else 0.0
        if result is not None:
            result.convert("RGBA").save(out / file)
    report = {"tool": name, "num_images": len(images), "time_s": spent_s, "failed": failed}
    (out / "results.json").write_text(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
