"""The predictions and the check as one picture."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes

from bench.scaling_model.measure import RANKS, Checked
from bench.scaling_model.table import Table
from pipeline.core.chart import COLOURS, new_chart, save_chart

PANELS = 2
GPUS = tuple(2**power for power in range(10))
"""Between and at those of the tables."""


def draw(path: Path, tables: Sequence[Table], checked: Sequence[Checked]) -> None:
    """Write the PNG: rates, efficiencies and, where there was one, the check."""
    figure, panels = new_chart(
        title=f"Predicted for DGX B200; {' or '.join(sorted({table.basis for table in tables}))}",
        x="GPUs",
        y="images a second",
        num_panels=PANELS + bool(checked),
    )
    shown = [table for table in tables if not table.name.endswith(".strong")]
    _rates(panels[0], shown)
    _efficiencies(panels[1], shown)
    if checked:
        _check(panels[2], checked)
    save_chart(figure, path)


def _rates(panel: Axes, tables: Sequence[Table]) -> None:
    for table in tables:
        panel.plot(
            [line.num_gpus for line in table.lines],
            [line.img_per_s for line in table.lines],
            label=_label(table),
            linestyle=_style(table),
        )
    _powers(panel, GPUS)
    panel.set_yscale("log")
    panel.legend(fontsize=8, frameon=False)


def _efficiencies(panel: Axes, tables: Sequence[Table]) -> None:
    for table, colour in zip(tables, COLOURS, strict=False):
        gpus = [line.num_gpus for line in table.lines]
        low = [line.efficiency for line in table.lines]
        panel.plot(gpus, low, color=colour, linestyle=_style(table))
        panel.fill_between(
            gpus, low, [line.best_efficiency for line in table.lines], color=colour, alpha=0.2
        )
    _powers(panel, GPUS)
    panel.set_ylim(0, 1.05)
    panel.set_ylabel("efficiency; band: all_reduce hidden or not")


def _check(panel: Axes, checked: Sequence[Checked]) -> None:
    names = sorted({each.name for each in checked})
    for name, colour in zip(names, COLOURS, strict=False):
        some = [each for each in checked if each.name == name]
        ranks = [each.num_ranks for each in some]
        panel.plot(
            ranks,
            [each.predicted_img_per_s for each in some],
            color=colour,
            marker="x",
            label=f"{name} predicted",
        )
        for each in some:
            times = sorted(each.measured_img_per_s)
            middle = times[len(times) // 2]
            panel.errorbar(
                [each.num_ranks],
                [middle],
                yerr=[[middle - times[0]], [times[-1] - middle]],
                color=colour,
                marker="o",
                capsize=3,
            )
    _powers(panel, RANKS)
    panel.set_yscale("log")
    panel.set_xlabel("ranks on this machine's cores; points: measured, from least to most")
    panel.legend(fontsize=8, frameon=False)


def _powers(panel: Axes, ticks: Sequence[int]) -> None:
    panel.set_xscale("log", base=2)
    panel.set_xticks(ticks, labels=[str(tick) for tick in ticks])


def _label(table: Table) -> str:
    return table.name.replace(".weak", " training").replace(".generate", " generation")


def _style(table: Table) -> str:
    return "--" if table.name.endswith(".generate") else "-"
