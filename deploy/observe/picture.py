"""Draw the dashboards from a Prometheus as PNG files: a look at a DGX without Grafana.

python -m deploy.observe.picture --prometheus http://localhost:9090 --out build/dashboards
python -m deploy.observe.picture ... --dashboard cost --hours 24 --set price_per_gpu_hour=2.5
"""

import argparse
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler
from matplotlib.ticker import MaxNLocator, MultipleLocator

from deploy.observe.ask import Curve, Window, curves, now_s
from deploy.observe.dashboards import VARIABLES, dashboard
from deploy.observe.table import DASHBOARDS
from deploy.observe.units import UnitFormatter, text
from pipeline.core.chart import COLOURS, save_chart
from pipeline.core.errors import InputError, one_line_errors

NUM_STEPS = 300
SIZE_IN = (6.2, 2.7)
"""Of a panel."""
LEGEND = 16
"""Entries; more cannot be read in a panel's width."""
FEW = 4
"""So many at 0 are named; more of them would be a page of names."""
ALERT = "#c53030"
GREY = "#4a5568"
STYLES = cycler(linestyle=["-", "--", ":"]) * cycler(color=COLOURS)


@one_line_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Draw what was asked for and name the files."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--prometheus", required=True, metavar="URL")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="for NAME.png")
    parser.add_argument("--dashboard", metavar="NAME", help=f"of {', '.join(DASHBOARDS)}; else all")
    parser.add_argument("--hours", type=float, default=6.0, help="up to now; 6 unless told")
    parser.add_argument("--set", action="append", default=[], metavar="VARIABLE=NUMBER",
                        help=f"of {', '.join(VARIABLES)}; 0 unless told")  # fmt: skip
    told = parser.parse_args(arguments)
    if told.dashboard not in {None, *DASHBOARDS}:
        raise InputError(f"--dashboard: {told.dashboard}; there are {', '.join(DASHBOARDS)}")
    if not 0 < told.hours <= 24 * 366:
        raise InputError(f"--hours: {told.hours:g}; above 0 and a year at most is wanted")
    given = dict(_variable(pair) for pair in told.set)
    window = _window(now_s(told.prometheus), told.hours)
    for name in [told.dashboard] if told.dashboard else DASHBOARDS:
        path = told.out / f"{name}.png"
        figure = draw(told.prometheus, dashboard(name), window, given)
        try:
            save_chart(figure, path)
        except (FileExistsError, NotADirectoryError) as error:
            raise InputError(f"--out: {error.filename} is no folder") from error
        print(path)
    return 0


def draw(url: str, board: dict[str, Any], window: Window, given: dict[str, str]) -> Figure:
    """Return a dashboard's figure: every panel in its place, with what its own query finds.

    Args:
        url: Of the Prometheus.
        board: As Grafana gets it, of ``dashboards.dashboard``.
        window: What is shown.
        given: Values of the dashboard's variables; others stay at the dashboard's own.
    """
    places = [panel["gridPos"] for panel in board["panels"]]
    rows = max(place["y"] // place["h"] for place in places) + 1
    figure = Figure(figsize=(2 * SIZE_IN[0], rows * SIZE_IN[1] + 0.4), layout="constrained")
    FigureCanvasAgg(figure)
    start, end = (datetime.fromtimestamp(t, UTC) for t in window.times_s[[0, -1]])
    figure.suptitle(f"{board['title']}, {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC")
    grid = figure.add_gridspec(rows, 2)
    texts = {row["name"]: row["current"]["value"] for row in board["templating"]["list"]
             if row["type"] == "textbox"}  # fmt: skip
    for panel, place in zip(board["panels"], places, strict=True):
        (target,) = panel["targets"]
        expr = filled(target["expr"], {**texts, **given})
        axes = figure.add_subplot(grid[place["y"] // place["h"], place["x"] // place["w"]])
        _panel(axes, panel, curves(url, expr, window), window)
    return figure


def filled(expr: str, variables: dict[str, str]) -> str:
    """Return a query with the dashboard's ``$variables`` put in."""
    return re.sub(r"\$(\w+)", lambda found: variables.get(found[1], found[0]), expr)


def named(legend: str, labels: dict[str, str]) -> str:
    """Return a curve's name: ``{{label}}`` becomes that label, or nothing where it has none."""
    name = re.sub(r"{{\s*(\w+)\s*}}", lambda found: labels.get(found[1], ""), legend)
    return " ".join(name.split())


def _variable(pair: str) -> tuple[str, str]:
    name, _, value = pair.partition("=")
    if name not in VARIABLES:
        raise InputError(f"--set {pair}: {name}; there are {', '.join(VARIABLES)}")
    if not re.fullmatch(r"\d+(\.\d+)?", value):
        raise InputError(f"--set {pair}: {value!r} is no number such as 2.5")
    return name, value


def _window(end_s: float, hours: float) -> Window:
    # A whole second: Prometheus' answers then fall on our steps.
    step_s = max(1.0, round(hours * 3600 / NUM_STEPS))
    num_steps = max(2, round(hours * 3600 / step_s) + 1)
    start_s = round(end_s) - step_s * (num_steps - 1)
    return Window(start_s=start_s, step_s=step_s, num_steps=num_steps)


def _panel(axes: Axes, panel: dict[str, Any], found: list[Curve], window: Window) -> None:
    axes.set_title(panel["title"], loc="left", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=7)
    if not found:
        axes.set_xticks([])
        axes.set_yticks([])
        axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center", color=GREY)
        return
    unit = panel["fieldConfig"]["defaults"]["unit"]
    legend = panel["targets"][0]["legendFormat"]
    days = date2num(window.times_s.astype("datetime64[s]"))  # type: ignore[no-untyped-call]
    axes.set_prop_cycle(STYLES)
    for curve in sorted(found, key=lambda curve: _natural(named(legend, curve.labels))):
        there = np.flatnonzero(np.isfinite(curve.values))
        last = text(float(curve.values[there[-1]]), unit) if there.size else "no number"
        # Of a point without neighbours there is no line.
        marker = "." if there.size < 3 else ""
        label = f"{named(legend, curve.labels)}  {last}"
        axes.plot(days, curve.values, linewidth=1.0, marker=marker, label=label)
    _scale(axes, days, found, unit)
    if len(found) > FEW and all(np.nanmax(curve.values, initial=0.0) == 0 for curve in found):
        axes.text(
            0.5, 0.5, f"all {len(found)} at 0", transform=axes.transAxes, ha="center", color=GREY
        )
    else:
        _legend(axes)
    _limit(axes, panel, unit)


def _scale(axes: Axes, days: Any, found: list[Curve], unit: str) -> None:
    locator = AutoDateLocator(minticks=2, maxticks=9)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    dates = ConciseDateFormatter(locator, show_offset=False)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(dates)
    axes.set_xlim(days[0], days[-1])
    axes.grid(visible=True, color="#dddddd", linewidth=0.6)
    low, high = _range(found)
    axes.set_ylim(low, high)
    whole = 2.0 ** np.ceil(np.log2((high - low) / 5))
    tens = MaxNLocator(5, steps=[1, 2, 5, 10])
    axes.yaxis.set_major_locator(MultipleLocator(whole) if unit == "bytes" else tens)
    axes.yaxis.set_major_formatter(UnitFormatter(unit))


def _range(found: list[Curve]) -> tuple[float, float]:
    """Return what the vertical axis shows: what is level is level, not noise from edge to edge."""
    values = np.concatenate([curve.values for curve in found])
    if not np.isfinite(values).any():
        return 0.0, 1.0
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    margin = 0.05 * (high - low)
    if high - low <= 0.02 * max(abs(low), abs(high)):
        low, margin = min(0.0, low), 0.25 * abs(high)
    if low == high == 0:
        return 0.0, 1.0
    return (max(0.0, low - margin) if low >= 0 else low - margin), high + margin


def _natural(name: str) -> list[tuple[int, str]]:
    # GPU 10 comes after GPU 9.
    parts = re.split(r"(\d+)", name)
    return [(int(part) if part.isdecimal() else -1, part) for part in parts]


def _legend(axes: Axes) -> None:
    lines = axes.get_lines()
    # Of too many the highest: one GPU with errors among many without is what one looks for.
    tops = [np.nanmax(line.get_ydata(), initial=-np.inf) for line in lines]
    shown = sorted(np.argsort(tops, stable=True)[::-1][:LEGEND])
    left = len(lines) - len(shown)
    labels = [f"{lines[index].get_label()}" for index in shown]
    title = f"and {left} that stay below these" if left else None
    axes.legend([lines[index] for index in shown], labels, loc="upper center", fontsize=6.5,
                bbox_to_anchor=(0.5, -0.1), frameon=False, title=title, title_fontsize=6.5,
                handlelength=1.5, columnspacing=1.2, handletextpad=0.5,
                ncols=max(1, min(4, 110 // (max(map(len, labels)) + 6))))  # fmt: skip


def _limit(axes: Axes, panel: dict[str, Any], unit: str) -> None:
    limits = panel["fieldConfig"]["defaults"].get("thresholds")
    if not limits:
        return
    _, above = limits["steps"]
    sign = ">" if above["color"] == "red" else "<"
    told = f"alert {sign} {text(above['value'], unit)}"
    axes.set_title(told, loc="right", fontsize=7, color=ALERT)
    view = axes.get_ylim()
    axes.axhline(above["value"], color=ALERT, linewidth=0.8, linestyle="--")
    # A far limit must not press the curves flat: it is in the title.
    axes.set_ylim(view)


if __name__ == "__main__":
    sys.exit(main())
