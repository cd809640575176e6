from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.metric import Scope
from eval.pixels.batch import PIXELS
from eval.pixels.measure import METRICS, PixelMetrics
from eval.pixels.palette import PaletteReference

SHARES = {
    metric.name
    for metric in METRICS
    if metric.scope is Scope.image
    and metric.name not in {"num_colours", "palette_distance_oklab", "silhouette_contrast_oklab"}
}


def everything(images: list[np.ndarray], native: int = 8) -> PixelMetrics:  # type: ignore[type-arg]
    return PixelMetrics(
        native_size_px=native, reference=PaletteReference.of(images), symmetry=True, tiles=True
    )


def small(seed: int) -> np.ndarray:  # type: ignore[type-arg]
    """16 x 16 of few colours, alpha of three kinds."""
    rng = np.random.default_rng(seed)
    palette = rng.integers(0, 256, (6, 4))
    palette[:, 3] = rng.choice([0, 128, 255, 255], 6)
    palette[0, 3] = 255
    image: np.ndarray = palette[rng.integers(0, 6, (16, 16))].astype(np.uint8)  # type: ignore[type-arg]
    image[0, 0] = palette[0]
    return image


pictures = st.integers(0, 2**32 - 1).map(small)


@settings(max_examples=40, deadline=None)
@given(pictures)
def test_values_lie_in_their_ranges(image: np.ndarray) -> None:  # type: ignore[type-arg]
    found = everything([image])([image])
    assert set(found) == {metric.name for metric in METRICS if metric.scope is Scope.image}
    for name in SHARES:
        assert np.isnan(found[name][0]) or 0.0 <= found[name][0] <= 1.0, name
    assert 1 <= found["num_colours"][0] <= 6
    assert found["palette_distance_oklab"][0] <= 1.1


@settings(max_examples=40, deadline=None)
@given(pictures)
def test_a_mirrored_picture_measures_the_same(image: np.ndarray) -> None:  # type: ignore[type-arg]
    metrics = everything([image])
    found, mirrored = (metrics([side]) for side in (image, image[:, ::-1]))
    for name, values in found.items():
        assert mirrored[name] == pytest.approx(values, nan_ok=True), name


@settings(max_examples=40, deadline=None)
@given(pictures, st.permutations([0, 1, 2]), st.integers(0, 255))
def test_shapes_do_not_hang_on_which_colour_is_where(
    image: np.ndarray,  # type: ignore[type-arg]
    channels: list[int],
    flip: int,
) -> None:
    recoloured = image[..., [*channels, 3]].copy()
    recoloured[..., :3] ^= np.uint8(flip)
    metrics = everything([image])
    found, other = metrics([image]), metrics([recoloured])
    for name in ("num_colours", "alpha_hardness_share", "silhouette_compactness"):
        assert other[name] == pytest.approx(found[name], nan_ok=True), name


def test_neighbours_in_a_batch_and_sizes_do_not_matter(
    sprites: list[np.ndarray],  # type: ignore[type-arg]
) -> None:
    metrics = everything(sprites)
    half = [sprite[::2, ::2].copy() for sprite in sprites]
    mixed = [image for pair in zip(sprites, half, strict=True) for image in pair]
    together = metrics(mixed)
    for number in (0, 5, 23):
        for name, values in metrics([mixed[number]]).items():
            assert together[name][number] == pytest.approx(values[0], nan_ok=True), name
    many = sprites * (PIXELS // 1024 // len(sprites) + 1)
    assert np.array_equal(
        metrics(many)["orphan_share"][:12], metrics(many)["orphan_share"][-12:], equal_nan=True
    )
    assert metrics([]) == {}


def test_what_was_not_asked_for_is_not_there(sprites: list[np.ndarray]) -> None:  # type: ignore[type-arg]
    found = PixelMetrics()(sprites)
    asked = {"symmetry_share", "tileability", "grid_coherence_share", "palette_distance_oklab"}
    assert not asked & set(found)


def test_blur_and_noise_are_seen(
    sprites: list[np.ndarray],  # type: ignore[type-arg]
    blurred: Callable[[np.ndarray], np.ndarray],  # type: ignore[type-arg]
    speckled: Callable[[np.ndarray], np.ndarray],  # type: ignore[type-arg]
) -> None:
    metrics = everything(sprites)
    clean, soft, noisy = (
        metrics([change(sprite) for sprite in sprites])
        for change in (lambda image: image, blurred, speckled)
    )
    assert (soft["antialiased_share"] > clean["antialiased_share"]).all()
    assert (soft["alpha_hardness_share"] < clean["alpha_hardness_share"]).all()
    assert (soft["num_colours"] > clean["num_colours"]).all()
    assert (noisy["orphan_share"] > clean["orphan_share"]).all()
    assert (noisy["num_colours"] > clean["num_colours"]).all()
    assert noisy["symmetry_share"].mean() < clean["symmetry_share"].mean()
    assert (noisy["alpha_hardness_share"] == clean["alpha_hardness_share"]).all()
    assert (noisy["silhouette_compactness"] == clean["silhouette_compactness"]).all()


def test_rgb_is_opaque_and_other_arrays_are_refused() -> None:
    rgb = np.full((8, 8, 3), 7, dtype=np.uint8)
    assert PixelMetrics()([rgb])["alpha_hardness_share"][0] == 1.0
    with pytest.raises(ValueError, match="uint8"):
        PixelMetrics()([np.zeros((8, 8), dtype=np.uint8)])


def test_metrics_are_told_once_each() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)
