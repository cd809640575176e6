"""Judge a set of pictures, by itself and against a base: every metric that can be had here."""

from collections.abc import Collection, Mapping
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from eval.batches import Picture
from eval.conf import EvaluateConfig, gate_of
from eval.diversity import (
    distance_histogram,
    distance_quantiles,
    memorisation,
    near_duplicates,
)
from eval.drawn import Drawn, read_drawn, require_same
from eval.findings import BASE, RUN, Findings
from eval.frames import animations
from eval.gates import judge_gates
from eval.intervals import verdict_of
from eval.kernel import Sample
from eval.metric import UnavailableError
from eval.objective import open_features, pair_metrics, set_metrics, text_metrics
from eval.pixels import animation, palette
from eval.pixels.measure import METRICS as PIXEL_METRICS
from eval.pixels.measure import PixelMetrics
from eval.report import Judged, Missing, Report
from eval.weights import Place
from pipeline.core.files import read_json
from pipeline.data.dataset import Dataset, Split


def evaluate(cfg: EvaluateConfig, *, device: str) -> Report:
    """Measure everything.

    Args:
        cfg: What is judged, and by what.
        device: ``cpu`` or ``cuda:<index>``, for metrics that are networks.

    Raises:
        InputError: Pictures are missing, cannot be read, or are not of the same things.
    """
    assert cfg.run is not None
    sets = {BASE: read_drawn(cfg.base, BASE)} if cfg.base else {}
    sets[RUN] = read_drawn(cfg.run, RUN)
    require_same(sets[RUN], list(sets.values())[:-1])
    found = Findings(seed=cfg.seed)
    place = Place(folder=cfg.weights, device=device)
    dataset = Dataset.open(cfg.art) if cfg.art else None
    held_out = dataset.split("validation") if dataset else None
    _pixels(cfg, sets, found, art=_art(held_out) if held_out else [])
    _texts(cfg, sets, found, place)
    _pairs(cfg, sets, found, place)
    told: dict[str, Any] = {}
    if dataset and held_out:
        _against_art(cfg, sets, found, place, held_out=held_out)
        told = _memorised(sets, found, train=dataset.split("train"), held_out=held_out)
    values = {j.info.name: j.by[RUN].value for j in found.metrics if RUN in j.by}
    known = {name: value for name, value in values.items() if value is not None}
    if cfg.human is not None:
        known["human_mean"] = human_mean(read_json(cfg.human), {RUN, cfg.run.name})
    gates = judge_gates(
        [gate_of(name, bound) for name, bound in cfg.gates.items()],
        known,
        {name: each.why for each in found.missing for name in each.names},
    )
    return Report(
        sets={
            name: {"path": str(drawn.path), "num_images": len(drawn)}
            for name, drawn in sets.items()
        },
        metrics=tuple(found.metrics),
        missing=tuple(found.missing),
        gates=tuple(gates),
        cases=tuple(found.cases(sets[RUN], num=cfg.num_cases)),
        memorisation=told,
        rates_img_per_s={name: round(rate, 1) for name, rate in found.rates.items()},
    )


def human_mean(scores: Mapping[str, Any], runs: Collection[str]) -> float:
    """Return the mean grade that raters gave, out of a rubric's scores; NaN where it has none.

    Args:
        scores: As ``rubric=score`` writes them.
        runs: Names that the judged run may have there.
    """
    for mean in scores.get("means", []):
        if mean["criterion"] == "human_mean" and mean["run"] in runs:
            return float("nan") if mean["grade"]["value"] is None else mean["grade"]["value"]
    return float("nan")


def _pixels(
    cfg: EvaluateConfig, sets: Mapping[str, Drawn], found: Findings, *, art: list[Picture]
) -> None:
    reference = palette.PaletteReference.of(art, seed=cfg.seed) if art else None
    measure = PixelMetrics(
        native_size_px=cfg.native_size_px,
        reference=reference,
        symmetry=cfg.symmetry,
        tiles=cfg.tiles,
    )
    values = {name: found.timed("pixels", drawn, measure) for name, drawn in sets.items()}
    found.add(sets[RUN].prompts, PIXEL_METRICS, values)
    _flicker(sets, found)
    if reference is not None:
        _set_palette(sets, found, reference)


def _flicker(sets: Mapping[str, Drawn], found: Findings) -> None:
    """Judge animations, where the pictures' names say that they are frames."""
    told = {name: animations(drawn) for name, drawn in sets.items()}
    if told[RUN]:
        values = {
            name: {animation.METRICS[0].name: animation.measure_flicker(list(each.values()))}
            for name, each in told.items()
        }
        found.add(list(told[RUN]), animation.METRICS, values)


def _set_palette(
    sets: Mapping[str, Drawn], found: Findings, reference: palette.PaletteReference
) -> None:
    """Hold all colours of each set together against those of the art."""
    by = {}
    for name, drawn in sets.items():
        try:
            distance = palette.set_palette_distance(
                drawn.pictures, drawn.prompts, reference, seed=found.seed
            )
        except ValueError as error:
            found.missing.append(Missing(names=(palette.METRICS[1].name,), why=f"{name}: {error}"))
            return
        by[name] = distance.told
    found.metrics.append(Judged(info=palette.METRICS[1], by=by, against="held-out art"))


def _texts(cfg: EvaluateConfig, sets: Mapping[str, Drawn], found: Findings, place: Place) -> None:
    for offer in text_metrics():
        metric = found.built(offer.build, offer.infos, place)
        if metric is None:
            continue
        if not sets[RUN].has_prompts:
            names = tuple(info.name for info in offer.infos)
            found.missing.append(Missing(names=names, why=f"{sets[RUN].path} has no prompts"))
            continue
        values = {
            name: found.timed(offer.infos[0].name, d, metric, d.prompts) for name, d in sets.items()
        }
        found.add(sets[RUN].prompts, offer.infos, values)


def _pairs(cfg: EvaluateConfig, sets: Mapping[str, Drawn], found: Findings, place: Place) -> None:
    """Hold each set against the reference; without one, the judged set against the base."""
    other = read_drawn(cfg.reference, "reference") if cfg.reference else sets.get(BASE)
    infos = [info for offer in pair_metrics() for info in offer.infos]
    if other is None:
        why = "neither reference nor base was given"
        found.missing.append(Missing(names=tuple(info.name for info in infos), why=why))
        return
    require_same(sets[RUN], [other])
    held = sets if cfg.reference else {RUN: sets[RUN]}
    for offer in pair_metrics():
        metric = found.built(offer.build, offer.infos, place)
        if metric is None:
            continue
        values = {
            name: found.timed(offer.infos[0].name, d, metric, other.pictures)
            for name, d in held.items()
        }
        found.add(sets[RUN].prompts, offer.infos, values, against=other.name)


def _against_art(
    cfg: EvaluateConfig,
    sets: Mapping[str, Drawn],
    found: Findings,
    place: Place,
    *,
    held_out: Split,
) -> None:
    metrics = set_metrics()
    try:
        features = open_features(place)
    except UnavailableError as error:
        names = tuple(metric.info.name for metric in metrics)
        found.missing.append(Missing(names=names, why=str(error)))
        return
    groups = [str(record["group"]) for record in held_out.records]
    target = Sample(features(_art(held_out)), groups)
    # The judged set first: a difference is of the first less the second.
    samples = {
        name: Sample(found.timed("features", sets[name], features), sets[RUN].prompts)
        for name in sorted(sets, key=[RUN, BASE].index)
    }
    for metric in metrics:
        try:
            distances = metric.measure(samples, target)
        except (UnavailableError, ValueError) as error:
            found.missing.append(Missing(names=(metric.info.name,), why=str(error)))
            continue
        less = distances.get(f"{RUN} - {BASE}")
        found.metrics.append(
            Judged(
                info=metric.info,
                by={name: distances[name].told for name in sets},
                difference=less.told if less else None,
                verdict=verdict_of(less, higher_is_better=False) if less else "",
                against="held-out art",
            )
        )


def _memorised(
    sets: Mapping[str, Drawn], found: Findings, *, train: Split, held_out: Split
) -> dict[str, Any]:
    """Say how near each set lies to training art, and how alike its pictures are."""
    learnt, unseen = _art(train), _art(held_out)
    told: dict[str, Any] = {}
    for name, drawn in sets.items():
        try:
            near = memorisation(drawn.pictures, held_out=unseen, train=learnt)
        except ValueError as error:
            found.missing.append(Missing(names=("nearest_training_rms",), why=str(error)))
            return {}
        told[name] = {
            "nearest_training_rms": distance_quantiles(near.drawn_rms),
            "histogram": distance_histogram(near.drawn_rms),
            "nearer_than_held_out_share": near.nearer_than_held_out_share,
            "num_exact_copies": near.num_exact_copies,
            "near_duplicate_share": float(near_duplicates(drawn.pictures).mean()),
        }
        told["held out"] = {
            "nearest_training_rms": distance_quantiles(near.held_out_rms),
            "histogram": distance_histogram(near.held_out_rms),
        }
    return told


def _art(split: Split) -> list[Picture]:
    return [
        np.asarray(Image.open(BytesIO(split.png_bytes(i))).convert("RGBA"))
        for i in range(len(split))
    ]
