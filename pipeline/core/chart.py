"""Charts as PNG files in one look; the same data gives the same bytes."""

from io import BytesIO
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pipeline.core.files import write_atomic

COLOURS = ("#2b6cb0", "#c05621", "#2f855a", "#6b46c1", "#b83280", "#4a5568")
SIZE_IN = (7.0, 4.2)
DPI = 120


def new_chart(*, title: str, x: str, y: str, num_panels: int = 1) -> tuple[Figure, list[Axes]]:
    """Return a figure and its panels, side by side, each with a grid and room for a legend.

    Args:
        title: Above all panels.
        x: Label of the horizontal axes, unit in brackets.
        y: Label of the first panel's vertical axis, unit in brackets.
        num_panels: How many.
    """
    figure = Figure(figsize=(SIZE_IN[0] * num_panels, SIZE_IN[1]), layout="constrained")
    FigureCanvasAgg(figure)
    panels = list(figure.subplots(1, num_panels, squeeze=False)[0])
    figure.suptitle(title, fontsize=11)
    for panel in panels:
        panel.set_prop_cycle(color=COLOURS)
        panel.set_xlabel(x)
        panel.grid(visible=True, color="#dddddd", linewidth=0.6)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel(y)
    return figure, panels


def save_chart(figure: Figure, path: Path) -> None:
    """Write the PNG atomically."""
    write_atomic(path, figure_png(figure))


def figure_png(figure: Figure) -> bytes:
    """Return the PNG, without the time or the library's version in it."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()
