"""Fréchet distance between two sets of images, where there are enough of them.

FID is the distance of two Gaussians fitted to features (Heusel et al. 2017, arXiv 1706.08500,
eq. 6). It is biased: the fewer images, the larger. Its authors ask for 10,000 images to 2,048
features, about 5 a feature; below that it is refused, and the kernel distance (``eval.kernel``)
says the same without the bias.

Shape legend: N images, D features.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Float64

from eval.intervals import MIN_GROUPS, Estimate
from eval.kernel import Sample
from eval.metric import MetricInfo, Scope, UnavailableError
from pipeline.core.seeds import derive_seed

IMAGES_A_FEATURE = 5
HALVES = 20
NORMAL_95 = 1.96

METRICS = (
    MetricInfo(
        name="fid_lite0",
        unit="",
        higher_is_better=False,
        scope=Scope.set,
        formula="|m - n|^2 + tr(C + D - 2 (C D)^(1/2)) of two sets' means and covariances",
        source="Heusel et al. 2017, arXiv 1706.08500, eq. 6; EfficientNet-Lite0 features",
        needs="the eval extra, and 6,400 images in each set",
    ),
)

Matrix = Float64[np.ndarray, "D D"]


def frechet_distances(
    sets: Mapping[str, Sample], target: Sample, *, seed: int = 0
) -> dict[str, Estimate]:
    """Return each set's Fréchet distance to the target.

    The interval: half of the groups of both is drawn ``HALVES`` times without repetition, and the
    halves' standard deviation is the whole's (delete-half jackknife, Shao and Wu 1989); 1.96 of it
    to each side. It tells the spread, not the bias. Deterministic given ``seed``.

    Raises:
        UnavailableError: A set or the target has fewer than ``IMAGES_A_FEATURE`` images a feature.
        ValueError: A set or the target has fewer than ``MIN_GROUPS`` groups.
    """
    for name, sample in (*sets.items(), ("the target", target)):
        count, dimension = sample.features.shape
        if count < IMAGES_A_FEATURE * dimension:
            raise UnavailableError(
                f"fid_lite0: {name} has {count} images, {dimension} features ask for "
                f"{IMAGES_A_FEATURE * dimension}; kid_lite0 says the same of fewer"
            )
        if sample.num_groups < MIN_GROUPS:
            raise ValueError(
                f"a distance needs {MIN_GROUPS} groups; {name} has {sample.num_groups}"
            )
    return {name: _with_interval(sample, target, seed=seed) for name, sample in sets.items()}


def frechet(left: Float[np.ndarray, "M D"], right: Float[np.ndarray, "N D"]) -> float:
    """Return the Fréchet distance of the Gaussians fitted to two sets; features squared.

    Takes the trace of (C D)^(1/2) from the eigenvalues of C^(1/2) D C^(1/2), which are those of
    C D and are real and not negative but for rounding.
    """
    mean_left, covariance_left = _gaussian(left)
    mean_right, covariance_right = _gaussian(right)
    values, vectors = np.linalg.eigh(covariance_left)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    shared = np.linalg.eigvalsh(root @ covariance_right @ root)
    trace = np.trace(covariance_left) + np.trace(covariance_right)
    squared = np.square(mean_left - mean_right).sum()
    return float(squared + trace - 2 * np.sqrt(np.maximum(shared, 0)).sum())


def _with_interval(sample: Sample, target: Sample, *, seed: int) -> Estimate:
    value = frechet(sample.features, target.features)
    rng = np.random.Generator(np.random.Philox(key=derive_seed(seed, "frechet_distance", 0)))
    halves = [
        frechet(sample.features[sample.half(rng)], target.features[target.half(rng)])
        for _ in range(HALVES)
    ]
    reach = NORMAL_95 * float(np.std(halves, ddof=1))
    return sample.distance(value, value - reach, value + reach)


def _gaussian(features: Float[np.ndarray, "N D"]) -> tuple[Float64[np.ndarray, " D"], Matrix]:
    mean = features.mean(axis=0, dtype=np.float64)
    apart = features - mean
    covariance: Matrix = apart.T @ apart / (len(features) - 1)
    return mean, covariance
