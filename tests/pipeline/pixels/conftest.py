"""Sprites of our own drawing, and what happens to them on the way through a model."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.data.conf import ArtKind, SourceConfig, SourceKind
from pipeline.data.sources.procedural import draw_procedural

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Enlarge = Callable[..., Pixels]
GROUND = (190, 60, 200)


@pytest.fixture(scope="session")
def sprites() -> Pixels:
    """Hard alpha RGBA, (B, 32, 32, 4)."""
    return _draw(ArtKind.sprite, 12)


@pytest.fixture(scope="session")
def opaque(sprites: Pixels) -> Pixels:
    """RGB (B, 32, 32, 3): tiles, and sprites on a plain ground."""
    grounded = np.where(sprites[..., 3:] > 0, sprites[..., :3], np.uint8(GROUND))
    return np.concatenate([_draw(ArtKind.tile, 6)[..., :3], grounded])


@pytest.fixture(scope="session")
def enlarge() -> Enlarge:
    return _enlarge


@pytest.fixture(scope="session")
def jpeg() -> Callable[[Pixels], Pixels]:
    return _jpeg


def _draw(art: ArtKind, num: int) -> Pixels:
    cfg = SourceConfig(kind=SourceKind.procedural, num_images=num)
    return np.stack([one.pixels for one in draw_procedural(cfg, art=art, seed=7, size_px=32)])


def _enlarge(pixels_HWC: Pixels, scale: float, *, cut_x: float = 0.0, cut_y: float = 0.0) -> Pixels:
    """Enlarge by nearest neighbour; ``cut`` is how many pixels are missing at the left and top."""
    sides = []
    for size, cut in zip(pixels_HWC.shape[:2], (cut_y, cut_x), strict=True):
        place = np.arange(round(size * scale - cut))
        sides.append(np.minimum((place + 0.5 + cut) // scale, size - 1).astype(int))
    return np.ascontiguousarray(pixels_HWC[sides[0]][:, sides[1]])


def _jpeg(pixels_HWC: Pixels) -> Pixels:
    buffer = BytesIO()
    Image.fromarray(pixels_HWC).save(buffer, format="JPEG", quality=80)
    with Image.open(buffer) as image:
        return np.asarray(image.convert("RGB"))
