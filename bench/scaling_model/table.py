"""Predictions for 1, 8, 64 and 512 B200s, as numbers, lines of text and rows of a bench file."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from bench.record import BenchResult, Row
from bench.scaling_model import hardware
from bench.scaling_model.assume import Assumptions
from bench.scaling_model.cases import (
    DRAWINGS,
    TRAININGS,
    DrawWork,
    TrainWork,
    drawing,
    find_row,
    training,
)  # fmt: skip
from bench.scaling_model.predict import (
    Run,
    Step,
    dgx_all_reduce,
    efficiencies,
    generate_run,
    train_step,
)  # fmt: skip
from pipeline.core.errors import InputError

GPUS = (1, 8, 64, 512)
STRONG_BATCH = 512
"""Images a step over all GPUs where that is held fast: one each on 512."""
ROOFLINE = "one GPU by the roofline, not measured on GPU"
MEASURED = "one GPU measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One number of GPUs."""

    num_gpus: int
    time_s: float
    """A step of training, or a whole run of generation."""
    img_per_s: float
    efficiency: float
    best_efficiency: float
    """With all_reduce hidden behind the backward pass as far as it goes."""
    bound_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One prediction over numbers of GPUs, the first of which is 1."""

    name: str
    title: str
    basis: str
    """Where the time on one GPU is from."""
    lines: tuple[Line, ...]


def predict_all(
    assumed: Assumptions,
    *,
    num_images: int,
    measured: BenchResult | None = None,
    gpus: Sequence[int] = GPUS,
) -> list[Table]:
    """Predict every case.

    Args:
        assumed: What is taken for granted.
        num_images: Of a run of generation.
        measured: A bench file whose rows ``train_step.<case>`` and ``generate_batch.<case>``, in
            ms on one GPU at the case's batch size, take the place of the roofline.
        gpus: Numbers of GPUs, beginning with 1.

    Raises:
        InputError: ``measured`` has none of those rows, or one that is no time.
    """
    names = [f"train_step.{work.name}" for work in TRAININGS]
    names += [f"generate_batch.{work.name}" for work in DRAWINGS]
    rows = {name: find_row(measured, name) for name in names}
    if measured is not None and not any(rows.values()):
        raise InputError(f"measured: has none of the rows {', '.join(names)}")
    return [
        *(
            _train(work, assumed, gpus, row=rows[f"train_step.{work.name}"], fixed=fixed)
            for fixed in (None, STRONG_BATCH)
            for work in TRAININGS
        ),
        *(
            _draw(
                work,
                assumed,
                gpus,
                row=rows[f"generate_batch.{work.name}"],
                num_images=num_images,
            )
            for work in DRAWINGS
        ),
    ]


def _train(
    work: TrainWork,
    assumed: Assumptions,
    gpus: Sequence[int],
    *,
    row: Row | None,
    fixed: int | None,
) -> Table:
    """Predict with ``work.batch_size`` images a GPU, or with ``fixed`` images over all GPUs."""
    all_reduce, hidden = dgx_all_reduce(assumed), dataclasses.replace(assumed, overlap=1.0)
    steps, best = [], []
    for n in gpus:
        size = work.batch_size if fixed is None else max(1, fixed // n)
        case = training(work, assumed, batch_size=size, row=row)
        steps.append(train_step(case, n, all_reduce=all_reduce, assumed=assumed))
        best.append(train_step(case, n, all_reduce=all_reduce, assumed=hidden))
    held = f"{work.batch_size} images a GPU" if fixed is None else f"{fixed} images over all GPUs"
    return Table(
        name=f"{work.name}.{'weak' if fixed is None else 'strong'}",
        title=f"training {work.title}, {held}",
        basis=ROOFLINE if row is None else MEASURED,
        lines=_lines(steps, [step.step_s for step in steps], best=best),
    )


def _draw(
    work: DrawWork,
    assumed: Assumptions,
    gpus: Sequence[int],
    *,
    row: Row | None,
    num_images: int,
) -> Table:
    case = drawing(work, assumed, row=row)
    runs = [generate_run(case, n, num_images=num_images, assumed=assumed) for n in gpus]
    return Table(
        name=f"{work.name}.generate",
        title=f"generating {work.title}, {num_images} images in batches of {work.batch_size}",
        basis=ROOFLINE if row is None else MEASURED,
        lines=_lines(runs, [run.total_s for run in runs], best=runs),
    )


def _lines(
    told: Sequence[Step | Run], times_s: Sequence[float], *, best: Sequence[Step | Run]
) -> tuple[Line, ...]:
    gpus = [each.num_ranks for each in told]
    shares, best_shares = (
        efficiencies([each.img_per_s for each in some], gpus) for some in (told, best)
    )
    return tuple(
        Line(
            num_gpus=each.num_ranks,
            time_s=time_s,
            img_per_s=each.img_per_s,
            efficiency=share,
            best_efficiency=best_share,
            bound_by=each.bound_by,
        )
        for each, time_s, share, best_share in zip(told, times_s, shares, best_shares, strict=True)
    )


def describe(table: Table) -> str:
    """Return the table as text."""
    rows = [
        f"{table.title} ({table.basis})",
        f"{'GPUs':>6} {'seconds':>10} {'img/s':>10} {'efficiency':>12}  most of the time",
    ]
    for line in table.lines:
        share = f"{line.efficiency:.1%}"
        if line.best_efficiency - line.efficiency > 5e-4:
            share = f"{line.efficiency:.0%}..{line.best_efficiency:.0%}"
        rows.append(
            f"{line.num_gpus:>6} {line.time_s:>10.4g} {line.img_per_s:>10.4g} {share:>12}  "
            f"{line.bound_by}"
        )
    return "\n".join(rows)


def describe_assumptions(assumed: Assumptions) -> str:
    """Return every assumption and every published figure with its unit and source."""
    rows = ["assumed (--assume NAME=VALUE changes one):"]
    for each in dataclasses.fields(assumed):
        value = getattr(assumed, each.name)
        rows.append(f"  {each.name} = {value:.4g} {each.metadata['unit']}: {each.metadata['why']}")
    rows.append("published:")
    for name, value in vars(hardware).items():
        if isinstance(value, hardware.Figure):
            rows.append(f"  {name} = {value.value:.4g} {value.unit}: {value.source}")
        if isinstance(value, hardware.Curve):
            rows.append(
                f"  {name}, bus bandwidth by payload, {value.num_ranks} GPUs: {value.source}"
            )
    return "\n".join(rows)


def rows_of(tables: Sequence[Table]) -> list[Row]:
    """Return one row a prediction: a place to fill, whose ceiling is what is predicted."""
    return [
        Row(
            name=f"{table.name}.{line.num_gpus}gpus",
            unit="img/s",
            ceiling=float(f"{line.img_per_s:.6g}"),
            ceiling_is=f"predicted; {table.basis}",
        )
        for table in tables
        for line in table.lines
    ]
