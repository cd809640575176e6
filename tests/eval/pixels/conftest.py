"""Sprites of our own drawing, and what can happen to a picture."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pipeline.data.conf import ArtKind, SourceConfig, SourceKind
from pipeline.data.sources.procedural import draw_procedural

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Change = Callable[[Pixels], Pixels]


@pytest.fixture(scope="session")
def sprites() -> list[Pixels]:
    """Hard alpha, 32 x 32 x 4."""
    return _drawn(ArtKind.sprite, 12)


@pytest.fixture(scope="session")
def tiles() -> list[Pixels]:
    """Opaque, 32 x 32 x 4."""
    return _drawn(ArtKind.tile, 8)


def _drawn(art: ArtKind, num: int) -> list[Pixels]:
    cfg = SourceConfig(kind=SourceKind.procedural, num_images=num)
    return [one.pixels for one in draw_procedural(cfg, art=art, seed=3, size_px=32)]


@pytest.fixture(scope="session")
def blurred() -> Change:
    """Premultiplied 3 x 3 mean, repeated at the frame."""

    def change(image: Pixels) -> Pixels:
        height, width = image.shape[:2]
        rgba = image.astype(np.float64)
        rgba[..., :3] *= rgba[..., 3:] / 255
        framed = np.pad(rgba, ((1, 1), (1, 1), (0, 0)), mode="edge")
        mean = sum(
            framed[y : y + height, x : x + width] for y in range(3) for x in range(3)
        ) / np.float64(9)
        mean[..., :3] *= 255 / np.maximum(mean[..., 3:], 1)
        return np.clip(mean.round(), 0, 255).astype(np.uint8)

    return change


@pytest.fixture(scope="session")
def speckled() -> Change:
    """A tenth of the visible pixels get any colour."""

    def change(image: Pixels) -> Pixels:
        rng = np.random.default_rng(5)
        out = image.copy()
        hit = (rng.random(image.shape[:2]) < 0.1) & (image[..., 3] > 0)
        out[hit, :3] = rng.integers(0, 256, (int(hit.sum()), 3))
        return out

    return change
