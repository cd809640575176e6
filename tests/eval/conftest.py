from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.core.rundir import RunDir
from pipeline.data.dataset import Dataset

Picture = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


@pytest.fixture(scope="session")
def art(smoke_data: Path) -> list[Picture]:
    """Twenty-four tiles and sprites of our own drawing, 32x32 RGBA."""
    split = Dataset.open(smoke_data).split("train")
    found = [np.asarray(Image.open(BytesIO(split.png_bytes(i))).convert("RGBA")) for i in range(24)]
    assert {picture.shape for picture in found} == {(32, 32, 4)}
    return found


@pytest.fixture(scope="session")
def drawn_run() -> Callable[[Path], Path]:
    """Make a folder that reads as a run of jobs.generate: three pictures and their table."""

    def make(folder: Path) -> Path:
        run = RunDir(folder)
        run.images.mkdir(parents=True)
        rows = []
        for number in range(3):
            pixels = np.zeros((16, 16, 4), np.uint8)
            pixels[3:13, 3 : 6 + number] = [40 * number, 90, 200, 255]
            pixels[14, number] = [250, 20, 20, 255]
            name = f"{number:09d}.png"
            Image.fromarray(pixels).save(run.images / name)
            rows.append(
                {"file": name, "prompt": f"thing {number}", "seed": 7, "seed_number": number}
            )
        pq.write_table(pa.Table.from_pylist(rows), run.table)
        return folder

    return make
