"""What an evaluation found: values with intervals, differences with verdicts, what is missing.

``report.json`` is ``Report`` as it stands here; ``eval/page.py`` makes the page of it.
"""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from eval.gates import GateResult
from eval.metric import MetricInfo
from eval.told import Interval, plain

FORMAT = "dgx-pixels-evaluation/1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """One metric of every set."""

    info: MetricInfo
    by: dict[str, Interval]
    """Of each set, by its name."""
    difference: Interval | None = None
    """The judged set less the base, item by item where the metric has items; None: no base."""
    verdict: str = ""
    """Of the difference, in words."""
    against: str = ""
    """What the sets were held against, where it is not themselves."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Missing:
    """Metrics that could not be had."""

    names: tuple[str, ...]
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A picture to look at."""

    metric: str
    file: str
    prompt: str
    values: dict[str, float | None]
    """By set."""
    is_best: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """Everything."""

    sets: dict[str, dict[str, Any]]
    """By name, the base first: where from, how many."""
    metrics: tuple[Judged, ...]
    missing: tuple[Missing, ...] = ()
    gates: tuple[GateResult, ...] = ()
    cases: tuple[Case, ...] = ()
    memorisation: dict[str, Any] = field(default_factory=dict)
    """Distances to the nearest training picture, by set: quantiles and histogram."""
    reference: dict[str, Any] = field(default_factory=dict)
    """Pictures kept with the run: which set they are, where from, in which folder, how many."""
    art: dict[str, Any] = field(default_factory=dict)
    """Identity of the data set that was held against; its pictures stay where they are."""
    rates_img_per_s: dict[str, float] = field(default_factory=dict)
    """Of each kind of metric."""

    @property
    def passes(self) -> bool:
        """Whether every gate is met."""
        return all(gate.passes for gate in self.gates)

    def as_json(self) -> dict[str, Any]:
        """Return the content of ``report.json``; what is not a number is null."""
        return {"format": FORMAT, "passes": self.passes, **plain(dataclasses.asdict(self))}
