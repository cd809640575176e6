"""A report as one HTML page that needs nothing beside it, and the chart in it by itself."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from eval.diversity import HISTOGRAM_STEP
from eval.html import page_environment, png_url
from eval.report import Judged, Report
from pipeline.core.chart import COLOURS, figure_png, new_chart

TEMPLATE = Path(__file__).parent / "assets" / "report.html.j2"


def report_page(report: Report, *, title: str, pictures: Mapping[str, Path]) -> str:
    """Return the page.

    Args:
        report: What was found.
        title: Of the page.
        pictures: Folder of each set's pictures (and of the reference), by name: cases are shown
            side by side.
    """
    environment = page_environment(undefined=jinja2.ChainableUndefined)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    chart = report_chart(report)
    page: str = template.render(
        report=report,
        title=title,
        cases=_cases(report, pictures),
        chart=png_url(chart),
    )
    return page


def _cases(report: Report, pictures: Mapping[str, Path]) -> dict[str, list[list[dict[str, Any]]]]:
    shown: dict[str, list[list[dict[str, Any]]]] = {}
    for case in report.cases:
        parts = shown.setdefault(case.metric, [[], []])
        files = {name: folder / case.file for name, folder in pictures.items()}
        parts[case.is_best].append(
            {
                "prompt": case.prompt,
                "file": case.file,
                "numbers": case.values,
                "pictures": {n: png_url(f.read_bytes()) for n, f in files.items() if f.is_file()},
            }
        )
    return shown


def report_chart(report: Report) -> bytes:
    """Return a PNG of differences in units of the base's interval, and distances to training art.

    A difference without an interval, of too few groups, is in the table alone: as a dot it would
    look certain. Empty where there are neither.
    """
    differing = [each for each in report.metrics if _edges(each) and _width(each)]
    if not differing and not report.memorisation:
        return b""
    figure, panels = new_chart(
        title="run less base; nearness to training art", x="", y="", num_panels=2
    )
    _draw_differences(panels[0], differing)
    for number, (name, told) in enumerate(report.memorisation.items()):
        counts = np.array(told["histogram"], dtype=np.float64)
        # With an edge more than steps: the last step, which holds all above, has a width too.
        edges = np.arange(len(counts) + 1) * HISTOGRAM_STEP
        shares = counts / max(counts.sum(), 1)
        panels[1].stairs(shares, edges, color=COLOURS[number], label=name, linewidth=1.5, zorder=2)
    panels[1].set_xlabel("RMS to the nearest training picture")
    if report.memorisation:
        panels[1].legend()
    return figure_png(figure)


def _draw_differences(panel: Any, differing: list[Judged]) -> None:
    names = [each.info.name for each in differing]
    for row, each in enumerate(differing):
        low, value, high = (edge / _width(each) for edge in _edges(each))
        panel.plot([low, high], [row, row], color=COLOURS[0])
        panel.plot([value], [row], "o", color=COLOURS[0])
    panel.axvline(0, color="#888888", linewidth=0.8)
    panel.set_yticks(range(len(names)), names, fontsize=7)
    panel.set_xlabel("difference / half width of the base's interval")


def _edges(judged: Judged) -> tuple[float, ...]:
    """Low, value and high of the difference; empty where it has no interval."""
    told = judged.difference
    if told is None or told.low is None or told.value is None or told.high is None:
        return ()
    return told.low, told.value, told.high


def _width(judged: Judged) -> float:
    """Half the width of the base's interval: what the metric's own doubt is."""
    told = judged.by.get("base")
    if told is None or told.low is None or told.high is None:
        return 0.0
    return (told.high - told.low) / 2
