"""What one sweep over message sizes is, whichever tool made it."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.core.errors import InputError

KIB, MIB, GIB = 2**10, 2**20, 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A collective.

    Its bus bandwidth is ``size / time`` times a factor that makes it comparable with a link's speed
    whatever the number of ranks ``n`` (nccl-tests, doc/PERFORMANCE.md).
    """

    name: str
    """As in nccl-tests: the program is ``<name>_perf``."""
    hops: float
    """Factor is ``hops * (n - 1) / n``, or 1 where this is 0."""

    def busbw_factor(self, num_ranks: int) -> float:
        """Return bus bandwidth over algorithm bandwidth."""
        return self.hops * (num_ranks - 1) / num_ranks if self.hops else 1.0


OPERATIONS = {
    name: Operation(name=name, hops=hops)
    for name, hops in (
        ("all_reduce", 2),
        ("all_gather", 1),
        ("reduce_scatter", 1),
        ("alltoall", 1),
        ("broadcast", 0),
        ("sendrecv", 0),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One size, one way of placing the buffers; None: the tool does not say."""

    time_us: float | None
    """Mean over iterations and ranks."""
    algbw: float | None
    """Size over time, GB/s of 10^9 bytes."""
    busbw: float | None
    """``algbw`` times the operation's factor, GB/s."""
    wrong: int | None
    """Elements that are not what they must be; None: not checked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepRow:
    """One message size."""

    size_bytes: int
    """The larger of what a rank gives and gets; 0 where it is less than a piece for each."""
    count: int
    """Elements as the tool counts them: of one rank's piece where data is in pieces."""
    dtype: str
    redop: str | None = None
    root: int | None = None
    out_of_place: Figures | None = None
    in_place: Figures | None = None

    @property
    def best(self) -> Figures:
        """Out of place as nccl-tests' users quote it, else in place."""
        told = self.out_of_place or self.in_place
        assert told is not None
        return told


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """One operation over message sizes, by one group of ranks."""

    operation: str
    tool: str
    """Such as ``nccl-tests 2.19.6`` or ``torch gloo``."""
    rows: tuple[SweepRow, ...] = ()
    num_ranks: int | None = None
    num_nodes: int | None = None
    device: str | None = None
    """The GPU's name, or ``CPU``."""
    nccl: str | None = None
    """Version of the library."""
    nvls: bool | None = None
    """NVLink SHARP allowed; None: there is none, or it was left to NCCL."""
    out_of_bounds: int | None = None
    """Wrong elements by the tool's own count."""
    complete: bool = False
    """Whether the tool wrote it to its end."""
    notes: tuple[str, ...] = ()
    """What went wrong or is missing, for people."""

    @property
    def name(self) -> str:
        """Such as ``all_reduce.8.nvls_on``: unique in a result."""
        parts = [self.operation, str(self.num_ranks or "unknown")]
        if self.nvls is not None:
            parts.append("nvls_on" if self.nvls else "nvls_off")
        return ".".join(parts)

    @property
    def wrong(self) -> int:
        """Elements found wrong anywhere."""
        placed = [p for row in self.rows for p in (row.out_of_place, row.in_place) if p]
        return max(sum(p.wrong or 0 for p in placed), self.out_of_bounds or 0)

    @property
    def largest(self) -> SweepRow | None:
        """The row of the largest size that has a bandwidth: what is judged; 0 B have none."""
        measured = [row for row in self.rows if row.size_bytes and row.best.busbw is not None]
        return max(measured, key=lambda row: row.size_bytes, default=None)


def sweep_to_dict(sweep: Sweep) -> dict[str, Any]:
    """Return plain JSON values."""
    return dataclasses.asdict(sweep)


def sweep_from_dict(value: Mapping[str, Any]) -> Sweep:
    """Undo ``sweep_to_dict``.

    Raises:
        InputError: A field is missing or unknown.
    """
    try:
        rows = tuple(
            SweepRow(
                **{
                    **row,
                    **{
                        key: Figures(**row[key]) if row[key] else None
                        for key in ("out_of_place", "in_place")
                    },
                }
            )
            for row in value["rows"]
        )
        return Sweep(**{**value, "rows": rows, "notes": tuple(value["notes"])})
    except (KeyError, TypeError) as error:
        raise InputError(f"not a whole sweep ({error})") from None


def human_size(size_bytes: int) -> str:
    """Return such as ``8 GiB``: exact, or in bytes."""
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if size_bytes >= unit and size_bytes % unit == 0:
            return f"{size_bytes // unit} {name}"
    return f"{size_bytes} B"
