"""What an evaluation gathers: values a picture become means, differences and extremes."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np
from jaxtyping import Float64

from eval.drawn import Drawn
from eval.intervals import mean_interval, paired_difference
from eval.metric import MetricInfo, UnavailableError
from eval.report import Case, Judged, Missing
from eval.similarity import PEAK
from eval.told import Interval
from eval.weights import Place
from pipeline.core.timing import Stopwatch

log = logging.getLogger(__name__)

BASE, RUN = "base", "run"
CASES_OF = ("ssim", "orphan_share")
"""Metrics whose extremes are shown, as far as they are there."""

Array = Float64[np.ndarray, " N"]
Values = Mapping[str, Array]
T = TypeVar("T")


class Findings:
    """What has been found so far.

    Args:
        seed: Of the draws behind intervals.
    """

    def __init__(self, *, seed: int) -> None:
        self.seed = seed
        self.metrics: list[Judged] = []
        self.missing: list[Missing] = []
        self.rates: dict[str, float] = {}
        """Pictures a second, by kind of metric."""
        self._items: dict[str, dict[str, Array]] = {}

    def built(
        self, build: Callable[[Place], T], infos: Sequence[MetricInfo], place: Place
    ) -> T | None:
        """Return a metric, or None and a note where it cannot be had."""
        try:
            return build(place)
        except UnavailableError as error:
            names = tuple(info.name for info in infos)
            self.missing.append(Missing(names=names, why=str(error)))
            return None

    def timed(
        self, kind: str, drawn: Drawn, measure: Callable[..., T], *beside: Sequence[object]
    ) -> T:
        """Measure a set, with what goes beside its pictures, and keep how fast that was."""
        watch = Stopwatch()
        values = measure(drawn.pictures, *beside)
        self.rates[kind] = len(drawn) / max(watch.elapsed_s(), 1e-9)
        log.info("%-12s %-4s %8.1f img/s", kind, drawn.name, self.rates[kind])
        return values

    def add(
        self,
        prompts: Sequence[str],
        infos: Sequence[MetricInfo],
        values: Mapping[str, Values],
        *,
        against: str = "",
    ) -> None:
        """Judge metrics of which each picture has a value.

        Args:
            prompts: Of each picture: those of one prompt tell one thing.
            infos: The metrics; those without values are passed over.
            values: By set, by metric.
            against: What the sets were held against.
        """
        for info in infos:
            by = {name: told[info.name] for name, told in values.items() if info.name in told}
            if not by:
                continue
            self._items[info.name] = by
            if info.name.endswith("psnr_db"):
                # The mean of decibels is not a mean; and the same picture has infinitely many.
                judged = self._decibels(info, values, against=against)
            else:
                judged = self._judge(info, by, prompts, against=against)
            self.metrics.append(judged)

    def _judge(
        self, info: MetricInfo, by: Values, prompts: Sequence[str], *, against: str
    ) -> Judged:
        told = {
            name: mean_interval(each, prompts, seed=self.seed).told for name, each in by.items()
        }
        difference, verdict = None, ""
        if {BASE, RUN} <= by.keys():
            less = paired_difference(
                by[BASE],
                by[RUN],
                prompts,
                higher_is_better=info.higher_is_better,
                unit=info.unit,
                seed=self.seed,
            )
            difference, verdict = less.estimate.told, less.verdict
        return Judged(info=info, by=told, difference=difference, verdict=verdict, against=against)

    def _decibels(self, info: MetricInfo, values: Mapping[str, Values], *, against: str) -> Judged:
        """Return PSNR of the mean squared error over the set, its interval the error's."""
        by = {}
        for name, told in values.items():
            mse = told.get("mse") if info.name == "psnr_db" else None
            if mse is None:
                mse = PEAK**2 / 10 ** (told[info.name] / 10)
            mean = mean_interval(mse, seed=self.seed)
            low, high = (_decibel(each) for each in (mean.high, mean.low))
            by[name] = Interval.of(_decibel(mean.value), low, high)
        return Judged(info=info, by=by, against=against)

    def cases(self, drawn: Drawn, *, num: int) -> list[Case]:
        """Return the best and worst pictures of some metrics, the worst first.

        Held against the base, a picture is not good or bad but like or unlike it: none is shown.
        """
        found = []
        judged = {each.info.name: each for each in self.metrics if each.against != BASE}
        for metric in CASES_OF:
            if metric not in judged or RUN not in judged[metric].by:
                continue
            values = self._items[metric][RUN]
            ranked = np.argsort(values, kind="stable").tolist()
            order = [i for i in ranked if np.isfinite(values[i])]
            if not judged[metric].info.higher_is_better:
                order.reverse()
            for is_best, some in ((False, order[:num]), (True, order[::-1][:num])):
                found += [self._case(metric, drawn, i, is_best=is_best) for i in some]
        return found

    def _case(self, metric: str, drawn: Drawn, index: int, *, is_best: bool) -> Case:
        told = {name: float(values[index]) for name, values in self._items[metric].items()}
        return Case(
            metric=metric,
            file=drawn.files[index].name,
            prompt=drawn.prompts[index],
            values={name: value if np.isfinite(value) else None for name, value in told.items()},
            is_best=is_best,
        )


def _decibel(mse: float) -> float:
    return float("inf") if mse == 0 else float(10 * np.log10(PEAK**2 / mse))
