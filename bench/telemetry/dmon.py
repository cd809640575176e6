"""``nvidia-smi dmon``, by its header: columns come and go with the driver.

Not measured on GPU: written to NVIDIA's documents and to outputs others recorded.
"""

from bench.telemetry.fields import BY_SMI, Field, clean
from bench.telemetry.stream import Rows, ShouldStop, SourceError, ToolStream, never

COMMAND = ("nvidia-smi", "dmon", "-s", "pucm", "-o", "T")
HEADS = frozenset({"gpu", "time", "date"})


class SmiDmon:
    """GPUs as ``nvidia-smi`` prints them: no energy, no tensor activity, no errors.

    Raises:
        SourceError: There is no ``nvidia-smi``, or it prints no row.
    """

    name = "nvidia-smi"

    def __init__(self, *, interval_s: float, should_stop: ShouldStop = never) -> None:
        self._should_stop = should_stop
        # It counts whole seconds.
        command = (*COMMAND, "-d", str(max(1, round(interval_s))))
        try:
            self._stream = self._start((*command, "--format", "csv"), interval_s)
        except SourceError:
            # Older drivers know no --format; their columns are parted by blanks.
            self._stream = self._start(command, interval_s)

    def read(self) -> Rows:
        """Return the newest values by index."""
        return self._stream.read()

    def close(self) -> None:
        """End the tool."""
        self._stream.close()

    def _start(self, command: tuple[str, ...], interval_s: float) -> ToolStream:
        return ToolStream(
            command, SmiParser().line, interval_s=interval_s, should_stop=self._should_stop
        )


class SmiParser:
    """Reads ``nvidia-smi dmon`` line by line, with commas or blanks between the columns."""

    def __init__(self) -> None:
        self._columns: list[str] = []

    def line(self, text: str) -> tuple[str, dict[str, float]] | None:
        """Return a GPU's index and values; None for headers and half lines."""
        parts = text.replace("#", " ").split("," if "," in text else None)
        cells = [cell.strip() for cell in parts]
        if cells and cells[0].lower() in HEADS:
            self._columns = [cell.lower() for cell in cells]
            return None
        if text.lstrip().startswith("#") or not text.endswith("\n"):
            return None
        if len(cells) != len(self._columns) or "gpu" not in self._columns:
            return None
        row = dict(zip(self._columns, cells, strict=True))
        if not row["gpu"].isdigit():
            return None
        found = ((BY_SMI.get(column), cell) for column, cell in row.items())
        values = {field.name: _clean(field, cell) for field, cell in found if field is not None}
        return row["gpu"], {name: value for name, value in values.items() if value is not None}


def _clean(field: Field, cell: str) -> float | None:
    return clean(field, cell, scale=1.0)
