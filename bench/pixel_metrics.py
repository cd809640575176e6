"""Images a second of each metric of quality, and what memory they take.

    python -m bench.pixel_metrics --num 10000

Sprites of our own drawing, 32x32, one torch thread; each pixel metric's module alone, then all
together, near-duplicates and the nearest of training art; then what compares pairs, prompts and
sets. What cannot be had here is named on stderr. The last line of stdout is the JSON.
"""

import argparse
import json
import os
import platform
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch

from eval.diversity import near_duplicates
from eval.intervals import mean_interval
from eval.kernel import Sample
from eval.metric import UnavailableError
from eval.neighbours import nearest
from eval.objective import Offer, open_features, pair_metrics, set_metrics, text_metrics
from eval.pixels.animation import measure_flicker
from eval.pixels.batch import Batch, Values, in_batches
from eval.pixels.colours import measure_colours
from eval.pixels.measure import PixelMetrics
from eval.pixels.palette import PaletteReference, measure_palette
from eval.pixels.repeats import measure_grid, measure_tiles
from eval.pixels.shapes import measure_shapes, measure_symmetry
from eval.weights import Place
from pipeline.core.errors import one_line_errors
from pipeline.core.timing import Stopwatch
from pipeline.data.conf import ArtKind, SourceConfig, SourceKind
from pipeline.data.sources.art import Art
from pipeline.data.sources.procedural import draw_procedural

SIZE_PX = 32
NATIVE_PX = 16
NUM_TRAIN = 1000
FRAMES = 8

Pictures = list[np.ndarray[Any, np.dtype[np.uint8]]]


def pictures(num: int) -> Pictures:
    """Draw sprites; beyond the first 256 they are the same ones mirrored and moved."""
    cfg = SourceConfig(kind=SourceKind.procedural, num_images=256)
    found = draw_procedural(cfg, art=ArtKind.sprite, seed=0, size_px=SIZE_PX)
    drawn = [one.pixels for one in found if isinstance(one, Art)]
    return [
        np.ascontiguousarray(np.roll(drawn[i % 256], i // 256, axis=1)[:, :: 1 - 2 * (i % 2)])
        for i in range(num)
    ]


def timed(images: Sequence[Any], measure: Callable[[Sequence[Any]], Any]) -> dict[str, float]:
    """Return images a second, and by how much the most memory ever held has grown."""
    before = _peak_mib()
    watch = Stopwatch()
    measure(images)
    spent_s = watch.elapsed_s()
    return {
        "images_per_s": round(len(images) / spent_s, 1),
        "peak_growth_mib": round(_peak_mib() - before, 1),
    }


def measured(images: Pictures) -> dict[str, dict[str, float]]:
    """Time every metric once."""
    reference = PaletteReference.of(images[:NUM_TRAIN])
    parts: dict[str, Callable[[Batch], Values]] = {
        "colours, antialiasing, alpha": measure_colours,
        "orphans, outline, silhouette": measure_shapes,
        "symmetry": measure_symmetry,
        "seams": measure_tiles,
        "grid coherence": partial(measure_grid, native_size_px=NATIVE_PX),
        "palette distance": partial(measure_palette, reference=reference),
    }
    # Once before: the first call of anything loads and allocates.
    everything = PixelMetrics(
        native_size_px=NATIVE_PX, reference=reference, symmetry=True, tiles=True
    )
    everything(images[:64])
    found = {
        name: timed(images, partial(in_batches, measure=measure)) for name, measure in parts.items()
    }
    found["all of these"] = timed(images, everything)
    found["flicker"] = timed(
        images,
        lambda frames: measure_flicker(
            [frames[i : i + FRAMES] for i in range(0, len(frames), FRAMES)]
        ),
    )
    found["near-duplicates"] = timed(images, near_duplicates)
    found[f"nearest of {NUM_TRAIN}"] = timed(images, lambda some: nearest(some, images[:NUM_TRAIN]))
    found["interval of a mean"] = timed([float(i) for i in range(len(images))], mean_interval)
    return found


def compared(images: Pictures) -> dict[str, dict[str, float]]:
    """Time what compares each image with its mirror image, with a prompt, and with other images.

    Distances of sets are timed without their features: those are a line of their own.
    """
    place = Place()
    mirrored = [image[:, ::-1] for image in images]
    prompts = ["red wooden shield"] * len(images)
    found: dict[str, dict[str, float]] = {}
    asked: list[tuple[Offer[Any], Sequence[Any]]] = [
        *((offer, mirrored) for offer in pair_metrics()),
        *((offer, prompts) for offer in text_metrics()),
    ]
    for offer, beside in asked:
        with told_if_missing():
            metric = offer.build(place)
            metric(images[:8], beside[:8])
            name = ", ".join(info.name for info in offer.infos)
            found[name] = timed(images, partial(_swapped, metric, beside))
    with told_if_missing():
        network = open_features(place)
        network(images[:8])
        found["features of set metrics"] = timed(images, network)
        rows = network(images[: 2 * NUM_TRAIN])
        target = Sample(rows[-NUM_TRAIN:], [str(i) for i in range(len(rows[-NUM_TRAIN:]))])
        features = np.resize(rows, (len(images), rows.shape[1]))
        sample = Sample(features, [str(i) for i in range(len(images))])
        for distance in set_metrics():
            with told_if_missing():
                compare = partial(distance.measure, {"images": sample}, target)
                found[distance.info.name] = timed(images, partial(_alone, compare))
    return found


@contextmanager
def told_if_missing() -> Iterator[None]:
    """Say what cannot be had here, and go on."""
    try:
        yield
    except UnavailableError as error:
        print(f"unavailable: {error}", file=sys.stderr)


def _swapped(metric: Callable[..., Any], beside: Sequence[Any], images: Sequence[Any]) -> None:
    metric(images, beside)


def _alone(measure: Callable[[], Any], _: Sequence[Any]) -> None:
    measure()


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@one_line_errors
def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m bench.pixel_metrics", description=__doc__)
    parser.add_argument("--num", type=int, default=10_000, help="images")
    num = parser.parse_args().num
    if num < FRAMES:
        parser.error(f"--num is {num}; at least {FRAMES}")
    torch.set_num_threads(1)
    images = pictures(num)
    start_mib = _peak_mib()
    found = measured(images) | compared(images)
    for name, told in found.items():
        print(f"{name:32} {told['images_per_s']:10.1f} img/s {told['peak_growth_mib']:8.1f} MiB")
    result = {
        "bench": "pixel_metrics",
        "num_images": num,
        "size_px": SIZE_PX,
        "metrics": found,
        "peak_before_mib": round(start_mib, 1),
        "peak_mib": round(_peak_mib(), 1),
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "numpy": np.__version__,
        "torch": torch.__version__,
    }
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
