import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from eval.features import ImageFeatures
from eval.intervals import Estimate
from eval.kernel import HALVES, Sample, kernel_distances
from eval.neighbours import nearest
from pipeline.core.seeds import derive_seed


def draws(count: int, *, mean: float = 0.0, seed: int = 0) -> np.ndarray:  # type: ignore[type-arg]
    return np.random.default_rng(seed).normal(mean, 1.0, (count, 8)).astype(np.float32)


def alone(features: np.ndarray) -> Sample:  # type: ignore[type-arg]
    return Sample(features, [str(i) for i in range(len(features))])


def distance(left: np.ndarray, right: np.ndarray) -> Estimate:  # type: ignore[type-arg]
    return kernel_distances({"it": alone(left)}, alone(right))["it"]


def defined(left: np.ndarray, right: np.ndarray) -> float:  # type: ignore[type-arg]
    """The distance by its definition, in one piece."""

    def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        return np.asarray((x.astype(np.float64) @ y.astype(np.float64).T / 8 + 1) ** 3)

    within = [kernel(side, side)[~np.eye(len(side), dtype=bool)].mean() for side in (left, right)]
    return float(sum(within) - 2 * kernel(left, right).mean())


def test_the_distance_equals_its_definition() -> None:
    left, right = draws(6, seed=1), draws(5, mean=1.0, seed=2)

    def k(x: np.ndarray, y: np.ndarray) -> float:  # type: ignore[type-arg]
        return float((np.dot(x.astype(np.float64), y.astype(np.float64)) / 8 + 1) ** 3)

    within = [
        np.mean([k(a[i], a[j]) for i in range(len(a)) for j in range(len(a)) if i != j])
        for a in (left, right)
    ]
    across = np.mean([k(x, y) for x in left for y in right])
    assert distance(left, right).value == pytest.approx(sum(within) - 2 * across)
    many, more = draws(300, seed=3), draws(290, mean=0.1, seed=4)
    assert distance(many, more).value == pytest.approx(defined(many, more)), "in several blocks"


def test_the_interval_is_of_halves_of_the_groups() -> None:
    """The sums over many halves at once are those of one half after another."""
    target, sets = draws(30, seed=1), {"a": draws(24, seed=2), "b": draws(24, mean=0.5, seed=3)}
    groups = [str(i // 2) for i in range(30)]
    samples = {name: Sample(features, groups[:24]) for name, features in sets.items()}
    whole = Sample(target, groups)
    found = kernel_distances(samples, whole)
    rng = np.random.Generator(np.random.Philox(key=derive_seed(0, "kernel_distance", 0)))
    direct: dict[str, list[float]] = {"a": [], "b": []}
    for _ in range(HALVES):
        j = whole.half(rng)
        i = samples["a"].half(rng)
        for name, features in sets.items():
            direct[name].append(defined(features[i], target[j]))
    for name, values in direct.items():
        low, high = np.quantile(values, [0.025, 0.975]) - np.mean(values)
        assert found[name].low == pytest.approx(found[name].value + low)
        assert found[name].high == pytest.approx(found[name].value + high)


def test_sets_drawn_alike_are_at_zero_and_others_are_not() -> None:
    inside = 0
    for seed in range(40):
        found = distance(draws(60, seed=2 * seed), draws(60, seed=2 * seed + 1))
        inside += found.low <= 0.0 <= found.high
    assert inside >= 34, "95 % of intervals should hold the truth"
    near, far = (distance(draws(60), draws(60, mean=m, seed=9)) for m in (0.5, 2.0))
    assert 0 < near.low < near.value < near.high < far.low


def test_siblings_count_once() -> None:
    """Four copies of each image tell no more than one: the interval must not shrink."""
    left, right = draws(40, seed=1), draws(40, mean=1.0, seed=2)
    once = distance(left, right)
    groups = [str(i // 4) for i in range(160)]
    found = kernel_distances(
        {"it": Sample(np.repeat(left, 4, axis=0), groups)},
        Sample(np.repeat(right, 4, axis=0), groups),
    )["it"]
    assert found.high - found.low > 0.7 * (once.high - once.low)


def test_a_difference_is_between_the_same_halves() -> None:
    target, far = alone(draws(60)), draws(60, mean=1.0, seed=3)
    sets = {"far": alone(far), "near": alone(draws(60, mean=0.3, seed=4))}
    found = kernel_distances(sets, target)
    difference = found["far - near"]
    assert difference.value == pytest.approx(found["far"].value - found["near"].value)
    assert difference.low > 0
    same = kernel_distances({"a": alone(far), "b": alone(far)}, target)["a - b"]
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)


def test_a_distance_of_next_to_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="4 groups"):
        distance(draws(3), draws(9))


images = st.integers(0, 2**32 - 1).map(
    lambda seed: np.random.default_rng(seed).integers(0, 256, (8, 8, 4)).astype(np.uint8)
)


@settings(max_examples=25)
@given(st.lists(images, min_size=2, max_size=6))
def test_a_copy_is_found_mirrored_or_not(among: list[np.ndarray]) -> None:  # type: ignore[type-arg]
    distances, indices = nearest([image[:, ::-1] for image in among], among)
    assert distances.max() == 0.0
    assert all(np.array_equal(among[i], image) for i, image in zip(indices, among, strict=True))


def test_transparent_pixels_have_no_colour() -> None:
    red, blue = (
        np.full((8, 8, 4), rgba, dtype=np.uint8) for rgba in ((255, 0, 0, 0), (0, 0, 255, 0))
    )
    assert nearest([red], [blue])[0][0] == 0.0
    white = np.full((8, 8, 4), 255, dtype=np.uint8)
    assert nearest([white], [blue])[0][0] == pytest.approx(1.0)


def test_features_tell_kinds_apart() -> None:
    features = ImageFeatures()
    noise = [Image.effect_noise((32, 32), 90).convert("RGBA") for _ in range(6)]
    flat = [Image.new("RGBA", (32, 32), (40 * i, 90, 20, 255)) for i in range(6)]
    found = features([*noise, *flat])
    assert found.shape == (12, 1280)
    assert np.isfinite(found).all()
    same = distance(found[:6], features(noise))
    assert same.value < distance(found[:6], found[6:]).low
