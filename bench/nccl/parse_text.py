"""The table nccl-tests prints, read by the names in its header.

Columns differ by version and flags: ``redop`` and ``root`` came later, ``error`` became ``#wrong``,
``-I`` adds ``i_min`` and others, ``-S`` a time stamp. Values are right-aligned below their names.
"""

import re
from dataclasses import dataclass, field

from bench.nccl.sweep import Figures, Sweep, SweepRow
from pipeline.core.errors import InputError

LABEL = re.compile(r"^\s*\d+: ")
"""What ``srun --label`` puts before each line."""
TIME_NAMES = ("time", "cputime")
WRONG_NAMES = ("#wrong", "#ers")
TIMESTAMP = "timestamp"
DEVICE = re.compile(
    r"#\s*Rank\s+\d+\s+(?:Group\s+\d+\s+)?Pid\s+\d+ on\s+(\S+)\s+device\s+\d+ \[[^\]]*\]\s+(.+)"
)
VERSION = re.compile(r"# nccl-tests version (\S+).*nccl-library=(\d+)")
STARTING = re.compile(r"# Collective test starting: (\S+)")
LIBRARY = re.compile(r"NCCL version (\d+(?:\.\d+)+)")
BOUNDS = re.compile(r"#\s*Out of bounds values\s*:\s*(\d+)")
TROUBLE = re.compile(r"(Test \w+ failure.*|NCCL WARN .*|Invalid number of GPUs.*|# error: .*)")
MAX_TROUBLES = 3


@dataclass(slots=True)
class _Table:
    """What has been read so far."""

    columns: list[str] = field(default_factory=list)
    out_of_place_end: int = 0
    """Character where the first half of a row ends."""
    rows: list[SweepRow] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)
    devices: list[str] = field(default_factory=list)
    tool: str = "nccl-tests"
    operation: str = "unknown"
    nccl: str | None = None
    out_of_bounds: int | None = None
    troubles: list[str] = field(default_factory=list)


def parse_text(text: str, *, name: str) -> Sweep:
    """Parse what a program of nccl-tests printed; log lines in between are passed over.

    Raises:
        InputError: There is no header of such a table, or there are two.
    """
    table = _Table()
    lines = text.split("\n")
    # After the last newline comes nothing, or a line that was still being written.
    for number, line in enumerate(lines):
        _read_line(table, LABEL.sub("", line), is_cut=number == len(lines) - 1, name=name)
    if not table.columns and not table.devices and table.tool == "nccl-tests":
        raise InputError(f"{name}: not an output of nccl-tests: no table with size and busbw")
    notes = [*table.torn, *table.troubles]
    if "error" in table.columns:
        notes.append("old layout: tells the largest error, not the number of wrong elements")
    return Sweep(
        operation=table.operation,
        tool=table.tool,
        rows=tuple(table.rows),
        num_ranks=len(table.devices) or None,
        num_nodes=len(set(table.hosts)) or None,
        device=table.devices[0] if table.devices else None,
        nccl=table.nccl,
        out_of_bounds=table.out_of_bounds,
        complete=table.out_of_bounds is not None and not table.torn,
        notes=tuple(notes),
    )


def library_version(code: int) -> str:
    """Return NCCL's version from its number: 22707 is 2.27.7, and before 2.9 2708 was 2.7.8."""
    base = 10000 if code >= 10000 else 1000
    return f"{code // base}.{code % base // 100}.{code % 100}"


def operation_of(program: str) -> str:
    """Return the operation of a program's name or path, such as ``all_reduce_perf_mpi``."""
    return program.rsplit("/", 1)[-1].removesuffix("_mpi").removesuffix("_perf")


def _read_line(table: _Table, line: str, *, is_cut: bool, name: str) -> None:
    names = line.lstrip("# ").split()
    if names[:2] == ["size", "count"] and "busbw" in names:
        _read_header(table, line, names, name=name)
    elif table.columns and re.match(r"\s*\d+\s+\d+\s+\w+", line):
        _read_row(table, line, is_cut=is_cut)
    else:
        _read_remark(table, line)


def _read_header(table: _Table, line: str, names: list[str], *, name: str) -> None:
    if table.columns:
        raise InputError(f"{name}: holds more than one run; give one file a run")
    table.columns = names
    halves = [i for i, each in enumerate(names) if each in TIME_NAMES]
    if len(halves) == 2:
        ends = [match.end() for match in re.finditer(r"\S+", line.replace("#", " ", 1))]
        table.out_of_place_end = ends[halves[1] - 1]


def _read_row(table: _Table, line: str, *, is_cut: bool) -> None:
    values = line.split()
    trouble = TROUBLE.search(line)
    row = None if is_cut or trouble else _row(table, values, line)
    if row is not None:
        table.rows.append(row)
        return
    table.torn.append(f"the row of {values[0]} bytes is not whole")
    if trouble:
        table.troubles.append(trouble.group(1))


def _row(table: _Table, values: list[str], line: str) -> SweepRow | None:
    columns = table.columns
    first = next(i for i, each in enumerate(columns) if each in TIME_NAMES)
    keys, body = columns[:first], columns[first:]
    if TIMESTAMP in body:  # a date and a time
        body = [*body[:-1], "date", TIMESTAMP]
    second = next((i for i, each in enumerate(body) if each in TIME_NAMES and i), len(body))
    halves = [body[:second], body[second:]]
    if len(values) == len(keys) + len(halves[1]) and _starts_late(table, line, len(keys)):
        halves[0] = []  # only in place, the other half is blank
    if len(values) != len(keys) + len(halves[0]) + len(halves[1]):
        return None
    told = dict(zip(keys, values, strict=False))
    rest = values[len(keys) :]
    try:
        return SweepRow(
            size_bytes=int(told["size"]),
            count=int(told["count"]),
            dtype=told["type"],
            redop=told.get("redop", told.get("op")),
            root=int(told["root"]) if "root" in told else None,
            out_of_place=_figures(halves[0], rest),
            in_place=_figures(halves[1], rest[len(halves[0]) :]),
        )
    except ValueError:
        return None


def _starts_late(table: _Table, line: str, num_keys: int) -> bool:
    ends = [match.end() for match in re.finditer(r"\S+", line)]
    return bool(table.out_of_place_end) and ends[num_keys] > table.out_of_place_end


def _figures(names: list[str], values: list[str]) -> Figures | None:
    if not names:
        return None
    told = dict(zip(names, values, strict=False))
    wrong = next((told[name] for name in WRONG_NAMES if name in told), "N/A")
    time = next(told[name] for name in TIME_NAMES if name in told)
    return Figures(
        time_us=float(time),
        algbw=float(told["algbw"]),
        busbw=float(told["busbw"]),
        wrong=None if wrong == "N/A" else int(float(wrong)),
    )


def _read_remark(table: _Table, line: str) -> None:
    if device := DEVICE.match(line):
        table.hosts.append(device.group(1))
        table.devices.append(device.group(2).strip())
    elif version := VERSION.match(line):
        table.tool = f"nccl-tests {version.group(1)}"
        table.nccl = library_version(int(version.group(2)))
    elif starting := STARTING.match(line):
        table.operation = operation_of(starting.group(1))
    elif library := LIBRARY.search(line):
        table.nccl = library.group(1)
    elif bounds := BOUNDS.match(line):
        table.out_of_bounds = int(bounds.group(1))
    elif (trouble := TROUBLE.search(line)) and len(table.troubles) < MAX_TROUBLES:
        table.troubles.append(trouble.group(1))
