"""A learned scaler in an environment of its own: ``make learned-scaler``, then build/scaler.

Real-ESRGAN's animevideov3, learnt on drawn video. It makes colours and shapes of its own, so what
comes out is no pixel art any more: a picture to look at, a poster, a store page.
"""

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.core.errors import InputError
from pipeline.pixels.oklab import Bytes

PYTHON = Path("build/scaler/bin/python")
FACTORS = (2, 3, 4)
SCRIPT = Path(__file__).parents[2] / "deploy" / "scaler" / "run.py"


def enlarge_learned(images: Sequence[Bytes], factor: int, *, python: Path = PYTHON) -> list[Bytes]:
    """Enlarge pictures, RGB or straight RGBA; alpha comes back soft.

    Raises:
        InputError: The environment is not there or does not run, or the factor has no weights.
    """
    if factor not in FACTORS:
        raise InputError(f"enlarge: {factor} with the learned scaler; it has 2, 3 and 4")
    if not python.is_file():
        raise InputError(f"{python}: no such Python; make learned-scaler makes one")
    with tempfile.TemporaryDirectory() as name:
        source, out = Path(name) / "in", Path(name) / "out"
        source.mkdir()
        out.mkdir()
        for number, image in enumerate(images):
            Image.fromarray(image).save(source / f"{number:06d}.png")
        command = [str(python), str(SCRIPT), str(factor), str(source), str(out)]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        if ran.returncode:
            raise InputError(f"{python}: the scaler does not run: {ran.stderr.strip()[-300:]}")
        return [_open(out / f"{i:06d}.png", image.shape[2]) for i, image in enumerate(images)]


def _open(file: Path, channels: int) -> Bytes:
    with Image.open(file) as image:
        return np.array(image)[..., :channels]
