"""Numbers as Grafana shows them, for the units that the table's panels have."""

import itertools
from collections.abc import Sequence

from matplotlib.ticker import Formatter

Steps = tuple[tuple[float, str], ...]


def _steps(base: float, *suffixes: str, first: float = 1.0) -> Steps:
    return tuple((first * base**power, suffix) for power, suffix in enumerate(suffixes))


UNITS: dict[str, Steps] = {
    "short": _steps(1000, "", " K", " Mil", " Bil", " Tri"),
    "percent": ((1.0, "%"),),
    "percentunit": ((0.01, "%"),),
    "celsius": ((1.0, " °C"),),
    "watt": _steps(1000, " W", " kW", " MW"),
    "joule": _steps(1000, " J", " kJ", " MJ", " GJ"),
    "kwatth": _steps(1000, " Wh", " kWh", " MWh", first=1e-3),
    "bytes": _steps(1024, " B", " KiB", " MiB", " GiB", " TiB"),
    "Bps": _steps(1000, " B/s", " kB/s", " MB/s", " GB/s", " TB/s"),
    "s": ((1e-3, " ms"), (1.0, " s"), (60.0, " min"), (3600.0, " h"), (86400.0, " d")),
    "sci": ((1.0, ""),),
}
"""Grafana's id of a unit: sizes, the smallest first, each with what is written behind."""


def text(value: float, unit: str) -> str:
    """Return a value with its unit, three digits of it."""
    if unit == "sci":
        return f"{value:.1e}"
    size, suffix = _step(abs(value), unit)
    return f"{_digits(value / size)}{suffix}"


def _digits(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


class UnitFormatter(Formatter):
    """Ticks in one size, with as many decimals as keep neighbours apart."""

    def __init__(self, unit: str) -> None:
        self.unit = unit

    def __call__(self, x: float, pos: int | None = None) -> str:
        """Return the text of one tick."""
        return self.format_ticks([x])[0]

    def format_ticks(self, values: Sequence[float]) -> list[str]:
        """Return the texts of all ticks of an axis."""
        if self.unit == "sci":
            return [f"{value:.1e}" for value in values]
        # Ticks reach beyond what is seen of an axis.
        seen = values if self.axis is None else self.axis.get_view_interval()
        size, suffix = _step(max((abs(float(value)) for value in seen), default=0.0), self.unit)
        apart = min((b - a for a, b in itertools.pairwise(values)), default=size) / size
        decimals = next(
            n for n in range(12) if n == 11 or abs(round(apart, n) - apart) < 0.02 * apart
        )
        return [f"{value / size:.{decimals}f}{suffix}" for value in values]


def _step(largest: float, unit: str) -> tuple[float, str]:
    steps = UNITS[unit]
    fitting = [step for step in steps if step[0] <= largest]
    if fitting:
        return fitting[-1]
    return next((step for step in steps if step[0] == 1.0), steps[0]) if not largest else steps[0]
