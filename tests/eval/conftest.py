from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.data.dataset import Dataset

Picture = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


@pytest.fixture(scope="session")
def art(smoke_data: Path) -> list[Picture]:
    """Twenty-four tiles and sprites of our own drawing, 32x32 RGBA."""
    split = Dataset.open(smoke_data).split("train")
    found = [np.asarray(Image.open(BytesIO(split.png_bytes(i))).convert("RGBA")) for i in range(24)]
    assert {picture.shape for picture in found} == {(32, 32, 4)}
    return found
