"""The review's charts, in the house's look."""

from collections.abc import Mapping, Sequence
from typing import Any

from jobs.records.curves import read_curve
from jobs.records.runs import Run
from pipeline.core.chart import COLOURS, figure_png, new_chart
from pipeline.core.errors import InputError

CURVES = {"train/loss": "while training", "validation/loss": "on held-out images"}
"""What is drawn of a training, a panel each, and its title."""
MAX_CURVES = len(COLOURS)
"""Runs in one chart: as many as have a colour of their own."""
MAX_WEEKS = 26
"""Weeks in one chart, the newest."""


def with_loss(runs: Sequence[Run], broken: list[str]) -> list[Run]:
    """Return the newest trainings that have a loss, oldest first, as many as one chart takes.

    Args:
        runs: Oldest first.
        broken: Takes a line for each whose figures cannot be read.
    """
    found: list[Run] = []
    for run in reversed(runs):
        try:
            if run.job == "train" and read_curve(run.run_dir.metrics, "train/loss")[0]:
                found.append(run)
        except InputError as error:
            broken.append(str(error))
        if len(found) == MAX_CURVES:
            break
    return found[::-1]


def loss_chart(drawn: Sequence[Run]) -> bytes:
    """Return a PNG of loss against images seen; empty: there are no runs.

    Args:
        drawn: Trainings with a loss, oldest first.

    Raises:
        InputError: A ``metrics.jsonl`` is broken.
    """
    if not drawn:
        return b""
    figure, panels = new_chart(title="", x="images seen", y="loss", num_panels=len(CURVES))
    for panel, (key, title) in zip(panels, CURVES.items(), strict=True):
        panel.set_title(title, fontsize=10)
        for colour, run in zip(COLOURS, drawn, strict=False):
            images, values = read_curve(run.run_dir.metrics, key)
            label = "/".join(run.name.split("/")[1:])
            panel.plot(images, values, color=colour, label=label, linewidth=1.4, **_marks(images))
    panels[0].legend(fontsize=8)
    return figure_png(figure)


def hours_chart(weeks: Mapping[str, Mapping[str, float]]) -> bytes:
    """Return a PNG of GPU-hours a week, stacked by job; empty: there are none.

    Args:
        weeks: By ISO week such as ``2026-W48``, in order: hours of each job.
    """
    shown = dict(list(weeks.items())[-MAX_WEEKS:])
    jobs = sorted({job for hours in shown.values() for job in hours})
    if not any(hour for hours in shown.values() for hour in hours.values()):
        return b""
    figure, (panel,) = new_chart(title="", x="week", y="allocated GPU-hours")
    below = [0.0] * len(shown)
    for number, job in enumerate(jobs):
        height = [hours.get(job, 0.0) for hours in shown.values()]
        colour = COLOURS[number % len(COLOURS)]
        panel.bar(list(shown), height, bottom=below, color=colour, label=job, width=0.7, zorder=2)
        below = [b + h for b, h in zip(below, height, strict=True)]
    panel.tick_params(axis="x", rotation=60 if len(shown) > 6 else 0, labelsize=8)
    panel.legend(fontsize=8)
    return figure_png(figure)


def _marks(images: Sequence[int]) -> dict[str, Any]:
    """A line through few points does not show where they are."""
    return {"marker": "o", "markersize": 3} if len(images) < 12 else {}
