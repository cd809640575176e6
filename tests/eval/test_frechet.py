import numpy as np
import pytest

from eval.frechet import IMAGES_A_FEATURE, frechet, frechet_distances
from eval.kernel import Sample
from eval.metric import UnavailableError


def exact(mean: float, deviations: list[float], count: int = 64) -> np.ndarray:  # type: ignore[type-arg]
    """Features whose mean is ``mean`` and whose covariance is diagonal, to rounding."""
    raw = np.random.default_rng(0).normal(size=(count, len(deviations)))
    raw -= raw.mean(axis=0)
    white = np.linalg.qr(raw)[0] * np.sqrt(count - 1)
    return np.asarray(white * deviations + mean)


def alone(features: np.ndarray) -> Sample:  # type: ignore[type-arg]
    return Sample(features.astype(np.float32), [str(i) for i in range(len(features))])


def test_gaussians_of_a_known_distance() -> None:
    """Of diagonal covariances it is |m - n|^2 + the sum of (s - t)^2."""
    left, right = exact(1.0, [1.0, 2.0, 3.0]), exact(-1.0, [2.0, 2.0, 0.5])
    assert frechet(left, right) == pytest.approx(3 * 2.0**2 + 1.0 + 0.0 + 2.5**2)
    assert frechet(left, left) == pytest.approx(0.0, abs=1e-9)
    assert frechet(left, left[::-1]) == pytest.approx(0.0, abs=1e-9)
    assert frechet(left, right) == pytest.approx(frechet(right, left))


def test_a_feature_that_never_moves_does_no_harm() -> None:
    left, right = (exact(0.0, deviations) for deviations in ([1.0, 0.0], [3.0, 0.0]))
    assert frechet(left, right) == pytest.approx(4.0)


def test_few_images_are_refused_with_the_number_that_would_do() -> None:
    few = alone(np.random.default_rng(0).normal(size=(10 * IMAGES_A_FEATURE - 1, 10)))
    many = alone(np.random.default_rng(1).normal(size=(10 * IMAGES_A_FEATURE, 10)))
    for sets, target in (({"it": few}, many), ({"it": many}, few)):
        with pytest.raises(UnavailableError, match=str(10 * IMAGES_A_FEATURE)):
            frechet_distances(sets, target)
    assert frechet_distances({"it": many}, many)["it"].value == pytest.approx(0.0, abs=1e-9)


def test_the_interval_is_about_as_wide_as_the_spread_of_fresh_draws() -> None:
    def drawn(seed: int, mean: float) -> Sample:
        return alone(np.random.default_rng(seed).normal(mean, 1.0, size=(400, 4)))

    found = [frechet_distances({"it": drawn(2 * s, 1.0)}, drawn(2 * s + 1, 0.0)) for s in range(24)]
    values = np.array([distances["it"].value for distances in found])
    widths = np.array([distances["it"].high - distances["it"].low for distances in found])
    assert widths.mean() == pytest.approx(2 * 1.96 * values.std(), rel=0.5)
    assert values.mean() == pytest.approx(4.0, rel=0.1)
    again = frechet_distances({"it": drawn(0, 1.0)}, drawn(1, 0.0))
    assert again == found[0]
