"""A report as tables of rows, for whoever shows tables: a cell may be a picture, as PNG bytes."""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

from PIL import Image

from eval.diversity import HISTOGRAM_STEP
from eval.drawn import list_drawn
from eval.report import Case, Judged, Report
from eval.told import Interval
from pipeline.core.picture import load_picture, png_bytes
from pipeline.core.sheet import contact_sheet
from pipeline.core.table import Cell, Table

SHOWN_PX = 128
"""Side that a picture is enlarged to at least, by an integer: tables smooth what they enlarge."""
BETTER = {True: "higher", False: "lower", None: "neither"}


def report_tables(report: Report, *, pictures: Mapping[str, Path]) -> dict[str, Table]:
    """Return the report's tables by name; those without rows are left out.

    Args:
        report: What was found.
        pictures: Run of jobs.generate, or folder of PNG, of each set and of the reference.

    Raises:
        InputError: A set has no pictures any more.
    """
    tables = {
        "metrics": _metrics(report),
        "gates": Table(
            columns=("gate", "bound", "value", "passes", "why"),
            rows=[[g.name, g.bound, g.found, g.passes, g.why] for g in report.gates],
        ),
        "cases": _cases(report, pictures),
        "unavailable": Table(
            columns=("metric", "why"),
            rows=[[name, each.why] for each in report.missing for name in each.names],
        ),
        **{
            f"memorisation/{name.replace(' ', '_')}": _distances(told["histogram"])
            for name, told in report.memorisation.items()
        },
    }
    return {name: table for name, table in tables.items() if table.rows}


def _metrics(report: Report) -> Table:
    parts = [*report.sets, "difference"]
    of_parts = [column for part in parts for column in (part, f"{part}_low", f"{part}_high")]
    return Table(
        columns=("metric", "unit", "better", *of_parts, "verdict", "against"),
        rows=[_metric(judged, list(report.sets)) for judged in report.metrics],
    )


def _metric(judged: Judged, sets: list[str]) -> list[Cell]:
    cells: list[Cell] = [judged.info.name, judged.info.unit, BETTER[judged.info.higher_is_better]]
    for told in (*(judged.by.get(name) for name in sets), judged.difference):
        each = told or Interval(value=None)
        cells += [each.value, each.low, each.high]
    return [*cells, judged.verdict, judged.against]


def _cases(report: Report, pictures: Mapping[str, Path]) -> Table:
    if not report.cases:
        return Table(columns=(), rows=[])
    listed = {
        name: {file.name: (file, record) for file, record in list_drawn(path).items()}
        for name, path in pictures.items()
    }
    numbers = [f"{name}_value" for name in report.sets]
    rows = []
    for case in report.cases:
        found = {name: files[case.file] for name, files in listed.items() if case.file in files}
        shown = [_shown(found[name][0]) if name in found else None for name in pictures]
        record = found["run"][1] if "run" in found else {}
        rows.append([*_case(case, record), *shown, *(case.values.get(n) for n in report.sets)])
    columns = ("metric", "end", "file", "prompt", "seed", "seed_number")
    return Table(columns=(*columns, *pictures, *numbers), rows=rows)


def _case(case: Case, record: Mapping[str, Cell]) -> list[Cell]:
    end = "best" if case.is_best else "worst"
    seeds = [record.get(key) for key in ("seed", "seed_number")]
    return [case.metric, end, case.file, case.prompt, *seeds]


def _shown(file: Path) -> bytes | None:
    if not file.is_file():
        return None
    picture: Image.Image = load_picture(file)
    enlarge = -(-SHOWN_PX // max(picture.size))
    return png_bytes(contact_sheet([picture], columns=1, enlarge=enlarge))


def _distances(counts: list[int]) -> Table:
    """RMS to the nearest training picture; the last step holds all above, so it has no end."""
    total = max(sum(counts), 1)
    ends = [f"{step * HISTOGRAM_STEP:.2f}" for step in range(len(counts))]
    names = [*(f"{a} to {b}" for a, b in pairwise(ends)), f"{ends[-1]} and up"]
    return Table(
        columns=("rms_to_nearest_training_picture", "num_images", "share"),
        rows=[[name, count, count / total] for name, count in zip(names, counts, strict=True)],
        bars=("rms_to_nearest_training_picture", "share"),
    )
