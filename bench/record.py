"""What a benchmark leaves behind: figures, with everything that must be alike to compare them.

One JSON file a bench, ``dgx-pixels-bench/1``::

    {"format", "bench", "measured", "command", "commit", "dirty", "conditions": {...},
     "settings": {...}, "rows": [{"name", "unit", "median", "p95", ...}], "verdicts": [...]}

``conditions`` and ``settings`` say under what the figures hold; ``bench.compare`` refuses files
that differ in them. ``commit`` and ``measured`` may differ: they are what one compares over.
"""

import dataclasses
import types
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args, get_origin

import numpy as np

from pipeline.core.errors import InputError
from pipeline.core.files import read_json, write_json
from pipeline.core.machine import Machine, read_machine, read_packages
from pipeline.core.numbers import number

FORMAT = "dgx-pixels-bench/1"
NOT_MEASURED = "not measured"
KINDS = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a finite number",
    dict: "an object",
    tuple: "a list",
    types.NoneType: "null",
}
"""What a field may be, in the words of JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """Under what the figures hold. Files that differ here are not compared."""

    hardware: str
    """As ``Machine.hardware``."""
    device: str
    """``cpu`` or ``cuda``: what computed."""
    cpu: str = ""
    """Model and cores, beside GPUs too: they feed them."""
    num_ranks: int = 1
    num_threads: int | None = None
    """CPU threads a rank; None: not held fast."""
    driver: str | None = None
    power_limit_w: float | None = None
    """Enforced limit of the first GPU; None: no GPU, or it does not say."""
    sm_clock_max_mhz: int | None = None
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure. A ``median`` of None is a place to fill: not measured."""

    name: str
    """What was measured, unique in its file, such as ``train_step.batch16``."""
    unit: str
    """Such as ``img/s``, ``ms``, ``GB/s``."""
    median: float | None = None
    p95: float | None = None
    """The worse end: what 95 % of the repeats are at least as good as."""
    repeats: int = 0
    warmup: int = 0
    """Repeats before those, not counted."""
    higher_is_better: bool = True
    ceiling: float | None = None
    """What is possible, in ``unit``: a bound or a rival, measured beside it or published."""
    ceiling_is: str | None = None
    """What the ceiling is and where it is from."""
    fraction: float | None = None
    """Share of the ceiling that was reached: 1 is all of it, above 1 beats a rival."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchResult:
    """One benchmark's file."""

    bench: str
    conditions: Conditions
    rows: tuple[Row, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    """What was asked for: sizes, models, data; by name."""
    verdicts: tuple[str, ...] = ()
    """Sentences for people, with figures and sources."""
    command: str = ""
    commit: str | None = None
    dirty: bool = False
    measured: str | None = None
    """UTC time, ISO; None: not measured."""
    extra: dict[str, Any] = field(default_factory=dict)
    """What belongs to this bench alone, such as a table of message sizes."""


def row(
    name: str,
    samples: Sequence[float],
    *,
    unit: str,
    warmup: int = 0,
    higher_is_better: bool = True,
    ceiling: float | None = None,
    ceiling_is: str | None = None,
) -> Row:
    """Summarise repeats.

    Args:
        name: Row's name.
        samples: One figure a repeat, at least one.
        unit: Of the samples.
        warmup: Repeats that went before.
        higher_is_better: A rate, or else a time.
        ceiling: What is possible, in the same unit.
        ceiling_is: What that is.
    """
    middle = float(np.median(samples))
    fraction = None
    if ceiling:
        fraction = middle / ceiling if higher_is_better else ceiling / middle
    return Row(
        name=name,
        unit=unit,
        median=_short(middle),
        p95=_short(float(np.quantile(samples, 0.05 if higher_is_better else 0.95))),
        repeats=len(samples),
        warmup=warmup,
        higher_is_better=higher_is_better,
        ceiling=_short(ceiling),
        ceiling_is=ceiling_is,
        fraction=_short(fraction),
    )


def here(
    *,
    device: str = "cpu",
    num_ranks: int = 1,
    num_threads: int | None = None,
    machine: Machine | None = None,
) -> Conditions:
    """Return the conditions of this machine."""
    machine = machine or read_machine()
    if device == "cpu":
        # GPUs beside it are not what computed.
        machine = dataclasses.replace(machine, gpus=(), driver=None)
    first = machine.gpus[0] if machine.gpus else None
    return Conditions(
        hardware=machine.hardware,
        device=device.partition(":")[0],
        cpu=f"{machine.num_cores} cores of {machine.cpu}",
        num_ranks=num_ranks,
        num_threads=num_threads,
        driver=machine.driver,
        power_limit_w=first.power_limit_w if first else None,
        sm_clock_max_mhz=first.sm_clock_max_mhz if first else None,
        versions=read_packages(),
    )


def write_result(path: Path, result: BenchResult) -> None:
    """Write the file atomically."""
    write_json(path, {"format": FORMAT, **dataclasses.asdict(result)})


def read_result(path: Path) -> BenchResult:
    """Read a file that ``write_result`` wrote.

    Raises:
        InputError: It is missing, not JSON, not of this format, or a field is of another type;
            the line names file and field.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    value = read_json(path)
    if value.pop("format", None) != FORMAT:
        raise InputError(f"{path}: not a {FORMAT} file")
    try:
        rows = tuple(Row(**each) for each in value.pop("rows"))
        conditions = Conditions(**value.pop("conditions"))
        verdicts = tuple(value.pop("verdicts", ()))
        result = BenchResult(rows=rows, conditions=conditions, verdicts=verdicts, **value)
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: not a whole {FORMAT} file ({error})") from None
    _check(result, f"{path}: ")
    _check(conditions, f"{path}: conditions.")
    for index, each in enumerate(rows):
        _check(each, f"{path}: rows[{index}].")
    return result


def _check(part: BenchResult | Conditions | Row, where: str) -> None:
    """Refuse a field whose value is not of its type: comparing would stumble over it."""
    for each in dataclasses.fields(part):
        value = getattr(part, each.name)
        if not dataclasses.is_dataclass(value) and not _fits(value, each.type):
            raise InputError(f"{where}{each.name} is {value!r:.60}; {_told(each.type)} is allowed")


def _fits(value: Any, kind: Any) -> bool:
    """Say whether a value read from JSON is of a type that a field here has."""
    if isinstance(kind, types.UnionType):
        return any(_fits(value, each) for each in get_args(kind))
    if kind in (int, float):
        return number(value) is not None and isinstance(value, int | kind)
    origin, inner = get_origin(kind), get_args(kind)
    if origin is dict:
        return isinstance(value, dict) and all(_fits(each, inner[1]) for each in value.values())
    if origin is tuple:
        # Of dataclasses, each has been built and is looked at by itself.
        return all(dataclasses.is_dataclass(inner[0]) or _fits(each, inner[0]) for each in value)
    return kind is Any or isinstance(value, kind)


def _told(kind: Any) -> str:
    if isinstance(kind, types.UnionType):
        return " or ".join(_told(each) for each in get_args(kind))
    return KINDS[get_origin(kind) or kind]


def _short(value: float | None) -> float | None:
    """Six significant digits: more is noise, and a diff."""
    return None if value is None else float(f"{value:.6g}")
