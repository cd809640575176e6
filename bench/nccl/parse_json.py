"""The file nccl-tests writes with ``-J``, and how to keep secrets out of it.

It is written as the run goes, so one that died leaves brackets open. Booleans are the strings
"true" and "false", NaN is the string "nan", infinity is a bare ``inf``. ``env`` is the whole
environment of the process.
"""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.nccl.parse_text import library_version, operation_of
from bench.nccl.sweep import Figures, Sweep, SweepRow
from pipeline.core.errors import InputError

BARE_INFINITY = re.compile(r":-?inf\b")
ENV = re.compile(r'"env":\s*\[(.*?)(\]\s*,\s*"nccl_version"|\Z)', re.DOTALL)
STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
CLOSER = {"{": "}", "[": "]"}


def parse_json(text: str, *, name: str) -> Sweep:
    """Parse the file, or as much of it as is whole.

    Raises:
        InputError: It is not a file of nccl-tests.
    """
    value, is_whole = _load(text, name=name)
    if "args" not in value or "version" not in value:
        raise InputError(f"{name}: not a JSON file of nccl-tests: no args and version")
    results = [each for each in value.get("results") or [] if isinstance(each, dict)]
    rows = [row for row in map(_row, results) if row is not None]
    torn = len(results) - len(rows)
    config = value.get("config") or {}
    devices = config.get("devices") or []
    bounds = (value.get("out_of_bounds") or {}).get("count")
    arguments = value["args"] or ["unknown"]
    notes = [str(error) for error in value.get("errors") or []]
    if torn:
        notes.append(f"{torn} rows are not whole")
    code = value.get("nccl_version")
    return Sweep(
        operation=operation_of(str(arguments[0])),
        tool=f"nccl-tests, JSON version {value['version']}",
        rows=tuple(rows),
        num_ranks=_num_ranks(config),
        num_nodes=len({device.get("hostname") for device in devices}) or None,
        device=devices[0].get("device_info") if devices else None,
        nccl=library_version(int(code)) if code else None,
        out_of_bounds=bounds,
        complete=is_whole and not torn and bounds is not None,
        notes=tuple(notes),
    )


def scrub_env(text: str, *, keep: Callable[[str], bool]) -> str:
    """Return the file's text with only those variables of ``env`` that ``keep`` allows by name.

    Works on half-written files too, and changes nothing else.
    """

    def scrubbed(match: re.Match[str]) -> str:
        kept = [
            entry.group(0)
            for entry in STRING.finditer(match.group(1))
            if keep(entry.group(1).partition("=")[0])
        ]
        return '"env":[' + ",".join(kept) + match.group(2)

    return ENV.sub(scrubbed, text, count=1)


def _load(text: str, *, name: str) -> tuple[dict[str, Any], bool]:
    text = BARE_INFINITY.sub(":null", text)
    try:
        return json.loads(text), True
    except json.JSONDecodeError:
        pass
    try:
        return json.loads(_closed(text)), False
    except json.JSONDecodeError as error:
        raise InputError(f"{name}: not valid JSON ({error})") from None


def _closed(text: str) -> str:
    """Cut after the last value that ends with a bracket, and close what is open there."""
    stack: list[str] = []
    whole, still_open = "", ""
    position = 0
    for token in re.finditer(r'"(?:[^"\\]|\\.)*"|[{}\[\]]', text):
        position = token.end()
        if token.group(0) in CLOSER:
            stack.append(CLOSER[token.group(0)])
        elif stack and token.group(0) == stack[-1]:
            stack.pop()
            whole, still_open = text[:position], "".join(reversed(stack))
    return whole + still_open


def _row(value: Mapping[str, Any]) -> SweepRow | None:
    """Return a result; None where it was still being written."""
    placed = [_figures(value.get(key)) for key in ("out_of_place", "in_place")]
    if "in_place" not in value or placed == [None, None]:
        return None
    return SweepRow(
        size_bytes=int(value["size"]),
        count=int(value["count"]),
        dtype=str(value["type"]),
        redop=value.get("redop"),
        root=int(value["root"]),
        out_of_place=placed[0],
        in_place=placed[1],
    )


def _figures(value: Mapping[str, Any] | None) -> Figures | None:
    if not value:
        return None
    wrong = _number(value.get("nwrong"))
    return Figures(
        time_us=_number(value.get("time", value.get("cpu_time"))),
        algbw=_number(value.get("alg_bw")),
        busbw=_number(value.get("bus_bw")),
        wrong=None if wrong is None else int(wrong),
    )


def _number(value: Any) -> float | None:
    if value is None:
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def _num_ranks(config: Mapping[str, Any]) -> int | None:
    """Return ranks; versions up to 2.19 list only the first GPU of each process."""
    ranks: Sequence[int] = sorted(int(d.get("rank", 0)) for d in config.get("devices") or [])
    if not ranks:
        return None
    per_process = int(config.get("ngpus", 1)) * int(config.get("nthreads", 1))
    are_all_told = len(ranks) > 1 and list(ranks) == list(range(len(ranks)))
    return ranks[-1] + (1 if are_all_told else per_process)
