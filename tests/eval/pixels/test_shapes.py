import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.pixels.batch import Batch
from eval.pixels.shapes import measure_shapes, measure_symmetry
from pipeline.pixels.cleanup import remove_orphans
from pipeline.pixels.conf import CleanupConfig

SILHOUETTE = ("silhouette_contrast_oklab", "silhouette_compactness", "silhouette_legibility")


def blank(side: int = 10) -> np.ndarray:  # type: ignore[type-arg]
    return np.zeros((side, side, 4), dtype=np.uint8)


def square(side: int, grey: int = 0) -> np.ndarray:  # type: ignore[type-arg]
    """A plain square in the middle of a transparent picture with sides 4 px longer."""
    image = blank(side + 4)
    image[2:-2, 2:-2] = (grey, grey, grey, 255)
    return image


def outlined() -> np.ndarray:  # type: ignore[type-arg]
    """White, 6 x 6, the outer 20 pixels black."""
    image = square(6)
    image[3:-3, 3:-3, :3] = 255
    return image


def of(image: np.ndarray) -> dict[str, float]:  # type: ignore[type-arg]
    batch = Batch.of([image])
    return {
        name: float(values[0])
        for name, values in (measure_shapes(batch) | measure_symmetry(batch)).items()
    }


def test_compactness_by_hand() -> None:
    assert of(square(4))["silhouette_compactness"] == 1.0
    two = blank()
    two[1:3, 1:3], two[6:8, 6:8] = (0, 0, 0, 255), (0, 0, 0, 255)
    assert of(two)["silhouette_compactness"] == pytest.approx(16 * 8 / 16**2)
    ring = square(4)
    ring[3:5, 3:5] = 0
    assert of(ring)["silhouette_compactness"] == pytest.approx(16 * 12 / 24**2)
    cut_off = blank(8)
    cut_off[:, :4] = (0, 0, 0, 255)
    assert of(cut_off)["silhouette_compactness"] == pytest.approx(16 * 32 / 24**2)


def test_a_figure_of_the_grounds_grey_cannot_be_read() -> None:
    assert of(square(4, grey=128))["silhouette_legibility"] == 0.0
    black, dim = of(square(4)), of(square(4, grey=90))
    assert black["silhouette_legibility"] == pytest.approx(1.0)
    assert 0 < dim["silhouette_contrast_oklab"] < black["silhouette_contrast_oklab"]
    faint = square(4)
    faint[2:-2, 2:-2, 3] = 51
    ratio = of(faint)["silhouette_contrast_oklab"] / black["silhouette_contrast_oklab"]
    assert ratio == pytest.approx(0.2)


def test_pieces_and_ragged_edges_are_harder_to_read() -> None:
    ragged = square(6)
    ragged[2:-2:2, 2] = 0
    assert of(ragged)["silhouette_legibility"] < of(square(6))["silhouette_legibility"]


def test_a_gap_in_the_outline_shows() -> None:
    image = outlined()
    assert of(image)["outline_continuity_share"] == 1.0
    image[2, 5, :3] = 255
    assert of(image)["outline_continuity_share"] == pytest.approx(19 / 20)
    image[5:7, 2, :3] = 255
    assert of(image)["outline_continuity_share"] == pytest.approx(17 / 20)
    assert of(square(6, grey=255))["outline_continuity_share"] == 0.0


def test_a_light_outline_that_is_darker_than_the_figure_counts() -> None:
    image = outlined()
    image[(image[..., 3] > 0) & (image[..., 0] == 0), :3] = (200, 120, 120)
    assert of(image)["outline_continuity_share"] == 1.0


def test_an_orphan_is_unlike_all_around_it() -> None:
    plain = square(8, grey=255)[2:-2, 2:-2].copy()
    assert of(plain)["orphan_share"] == 0.0
    one = plain.copy()
    one[3, 3, :3] = (250, 0, 0)
    assert of(one)["orphan_share"] == pytest.approx(1 / 64)
    pair = one.copy()
    pair[4, 4, :3] = (250, 0, 0)
    assert of(pair)["orphan_share"] == 0.0, "two that touch at a corner are a line"
    hole = plain.copy()
    hole[3, 3] = 0
    assert of(hole)["orphan_share"] == pytest.approx(1 / 63)
    at_border = plain.copy()
    at_border[0, 3, :3] = (250, 0, 0)
    assert of(at_border)["orphan_share"] == 0.0


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 9))
def test_orphans_are_what_a_clean_up_that_spares_nothing_mends(seed: int, num: int) -> None:
    rng = np.random.default_rng(seed)
    palette = rng.integers(0, 256, (num, 4)).astype(np.uint8)
    palette[:, 3] = rng.choice([0, 90, 255], num)
    image = palette[rng.integers(0, num, (12, 12)) // rng.integers(1, 3)]
    before = torch.from_numpy(image[None])
    after = remove_orphans(before, CleanupConfig(orphan_max_step=2.0, orphan_min_agree=1))
    mended = int((before != after).any(dim=-1).sum())
    visible = int((image[..., 3] > 0).sum())
    expected = mended / visible if visible else math.nan
    assert of(image)["orphan_share"] == pytest.approx(expected, nan_ok=True)


def test_symmetry_is_about_the_middle_of_the_figure() -> None:
    image = blank()
    image[2:6, 1:5] = (90, 20, 20, 255)
    assert of(image)["symmetry_share"] == 1.0
    image[3, 1, :3] = (20, 90, 200)
    assert of(image)["symmetry_share"] == pytest.approx(14 / 16)
    image[5, 4] = 0
    assert of(image)["symmetry_share"] == pytest.approx(12 / 16)


def test_a_picture_that_fills_its_frame_has_no_silhouette() -> None:
    full = of(np.full((8, 8, 4), 255, dtype=np.uint8))
    assert all(math.isnan(full[name]) for name in (*SILHOUETTE, "outline_continuity_share"))
    assert full["orphan_share"] == 0.0
    assert full["symmetry_share"] == 1.0
    assert all(math.isnan(value) for value in of(blank()).values())
