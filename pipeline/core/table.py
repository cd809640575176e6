"""A table, as reports make it and trackers show it."""

from dataclasses import dataclass

Cell = str | int | float | bool | bytes | None
"""Text, number, truth, nothing, or the bytes of a PNG."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Rows under names."""

    columns: tuple[str, ...]
    rows: list[list[Cell]]
    bars: tuple[str, str] | None = None
    """Columns of labels and of heights, where the rows are a bar chart as well."""
