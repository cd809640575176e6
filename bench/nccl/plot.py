"""Bus bandwidth and latency against message size, with what is published."""

import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes

from bench.nccl.expect import Expectation, published
from bench.nccl.sweep import OPERATIONS, Sweep, human_size
from pipeline.core.chart import COLOURS, new_chart, save_chart

BAND_OF = "all_reduce"
"""The one operation for which a band over sizes is published."""
TICK_EVERY = 64


def plot_sweeps(sweeps: Sequence[Sweep], path: Path) -> None:
    """Write one PNG of all sweeps by the same ranks.

    Colours are operations; dashes are NVLS off. The band is what is published for all_reduce, down
    to where it is warned of.

    Args:
        sweeps: At least one with rows.
        path: The PNG.
    """
    first = next(sweep for sweep in sweeps if sweep.rows)
    title = f"{first.num_ranks} ranks, {first.device or 'unknown device'}, {first.tool}"
    figure, (bandwidth, latency) = new_chart(
        title=title, x="message size", y="bus bandwidth (GB/s)", num_panels=2
    )
    latency.set_ylabel("time (us)")
    latency.set_yscale("log")
    colours = dict(zip(OPERATIONS, COLOURS, strict=True))
    for sweep in sweeps:
        if sweep.rows:
            _draw(sweep, bandwidth, latency, colour=colours.get(sweep.operation, "#000000"))
    _draw_band(first, bandwidth, colour=colours[BAND_OF])
    # Size 0: a rank's piece of so small a message has no element. A log axis has no place for it.
    sizes = [row.size_bytes for sweep in sweeps for row in sweep.rows if row.size_bytes] or [1]
    for panel in (bandwidth, latency):
        _label_sizes(panel, min(sizes), max(sizes))
    bandwidth.set_ylim(bottom=0)
    # Whole decades: within one there would be a single number on the axis.
    least, most = latency.get_ylim()
    latency.set_ylim(10 ** math.floor(math.log10(least)), 10 ** math.ceil(math.log10(most)))
    bandwidth.legend(fontsize=8, loc="upper left", frameon=False)
    save_chart(figure, path)


def _draw(sweep: Sweep, bandwidth: Axes, latency: Axes, *, colour: str) -> None:
    told = [(row.size_bytes, row.best.busbw, row.best.time_us) for row in sweep.rows]
    points = [(size, b, time) for size, b, time in told if size and b is not None and time]
    label = sweep.operation + ("" if sweep.nvls is not False else ", NVLS off")
    style = "--" if sweep.nvls is False else "-"
    for panel, axis in ((bandwidth, 1), (latency, 2)):
        panel.plot(
            [point[0] for point in points],
            [point[axis] for point in points],
            style,
            color=colour,
            label=label,
            linewidth=1.4,
            marker=".",
            markersize=4,
        )


def _draw_band(sweep: Sweep, panel: Axes, *, colour: str) -> None:
    found: list[Expectation] = published(
        sweep.device, BAND_OF, num_ranks=sweep.num_ranks or 0, num_nodes=sweep.num_nodes or 1,
        nvls=True,
    )  # fmt: skip
    if found:
        panel.fill_between(
            [each.size_bytes for each in found],
            [each.warn_below for each in found],
            [each.high for each in found],
            color=colour, alpha=0.18, label=f"{BAND_OF} as published, less 5 %",
        )  # fmt: skip


def _label_sizes(panel: Axes, least: int, most: int) -> None:
    panel.set_xscale("log", base=2)
    ticks = [least]
    while ticks[-1] * TICK_EVERY <= most:
        ticks.append(ticks[-1] * TICK_EVERY)
    panel.set_xticks(ticks, [human_size(tick) for tick in ticks], fontsize=8)
    panel.minorticks_off()
