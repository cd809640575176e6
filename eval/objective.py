"""The metrics that compare: pictures in pairs, pictures with their prompts, set against set.

    for offer in pair_metrics():
        try:
            metric = offer.build(place)
        except UnavailableError as error:
            ...  # the report names offer.infos and says why
        values = metric(left, right)

Shape legend: N pictures.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
from jaxtyping import Float64
from PIL import Image

from eval import clip, frechet, kernel, lpips, pixel_error, st_lpips, tile_text
from eval.batches import Picture
from eval.features import BATCH, NUM_FEATURES, Features, ImageFeatures
from eval.intervals import Estimate
from eval.kernel import Sample
from eval.metric import MetricInfo, UnavailableError
from eval.weights import Place
from pipeline.core.errors import InputError

Values = dict[str, Float64[np.ndarray, " N"]]
"""One value a picture or pair, by the metric's name."""


class PairMetric(Protocol):
    """Compares pictures in pairs."""

    def __call__(self, left: Sequence[Picture], right: Sequence[Picture]) -> Values:
        """Return one value a pair for each metric."""


class TextMetric(Protocol):
    """Compares pictures with their prompts."""

    def __call__(self, images: Sequence[Picture], texts: Sequence[str]) -> Values:
        """Return one value a picture for each metric."""


Metric = TypeVar("Metric", bound=PairMetric | TextMetric)


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer(Generic[Metric]):
    """Metrics that can be had where their weights are."""

    infos: tuple[MetricInfo, ...]
    """What a value's names mean."""
    build: Callable[[Place], Metric]
    """Raises ``UnavailableError``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SetMetric:
    """A distance between sets of features."""

    info: MetricInfo
    measure: Callable[[Mapping[str, Sample], Sample], Mapping[str, Estimate]]
    """Sets by name, and the target; raises ``UnavailableError`` where there are too few images."""


def pair_metrics() -> tuple[Offer[PairMetric], ...]:
    """Return what compares two pictures of the same thing."""
    return (
        Offer(infos=pixel_error.METRICS, build=pixel_error.PixelError),
        Offer(infos=lpips.METRICS, build=lpips.Lpips),
        Offer(infos=st_lpips.METRICS, build=st_lpips.StLpips),
        Offer(infos=clip.METRICS[:1], build=lambda place: clip.ClipDistance(clip.open_clip(place))),
    )


def text_metrics() -> tuple[Offer[TextMetric], ...]:
    """Return what compares a picture with its prompt."""
    return (
        Offer(
            infos=clip.METRICS[1:],
            build=lambda place: clip.ClipTextDistance(clip.open_clip(place)),
        ),
        Offer(
            infos=tile_text.METRICS,
            build=lambda place: tile_text.TileText(open_features(place)),
        ),
    )


def set_metrics() -> tuple[SetMetric, ...]:
    """Return what compares sets by the features of ``open_features``."""
    return (
        SetMetric(info=kernel.METRICS[0], measure=kernel.kernel_distances),
        SetMetric(info=frechet.METRICS[0], measure=frechet.frechet_distances),
    )


def open_features(place: Place) -> Callable[[Sequence[Picture]], Features]:
    """Load the feature space of the set metrics.

    Raises:
        UnavailableError: The ``eval`` extra is not installed, or its weights are other ones.
    """
    try:
        network = ImageFeatures(place.device)
    except InputError as error:
        raise UnavailableError(str(error)) from None

    def features(images: Sequence[Picture]) -> Features:
        found = np.empty((len(images), NUM_FEATURES), dtype=np.float32)
        for start in range(0, len(images), BATCH):
            places = range(start, min(start + BATCH, len(images)))
            found[start : places.stop] = network([Image.fromarray(images[i]) for i in places])
        return found

    return features
