"""Of all that a node says, what is about a job's own GPUs: Slurm does not always hide the others.

An index in ``CUDA_VISIBLE_DEVICES`` is taken in the driver's order, which is CUDA's wherever all
GPUs are alike; where Slurm hides the others, both count from 0.
"""

import csv
import dataclasses
import io
import re
from collections.abc import Callable, Collection, Mapping, Sequence

from bench.preflight.collect import Answer
from bench.preflight.formats import read_table, read_topology, short_bus

BY_INDEX = ("gpus", "mig", "power", "clocks", "throttle", "ecc")


def keep_visible(answers: Mapping[str, Answer], visible: Sequence[str] | None) -> dict[str, Answer]:
    """Return the answers without what they say of other GPUs.

    Args:
        answers: Of the whole node, by question.
        visible: Parts of ``CUDA_VISIBLE_DEVICES``; None, or slices, of which no table tells whose
            they are: all answers as they are.
    """
    told = dict(answers)
    rows = read_table(told["gpus"].text, "index") if "gpus" in told else []
    if visible is None or not rows or any(name.startswith("MIG-") for name in visible):
        return told
    ours = [row for row in rows if any(_is_named(row, name) for name in visible)]
    if not ours:
        lost = f"none of the job's GPUs ({', '.join(visible)}) is there"
        return told | {"gpus": Answer(trouble=lost)}
    if len(ours) == len(rows) < len(visible):
        return told  # One of ours is lost, and what stands before the table may say which.
    indices = [row["index"] for row in ours]
    buses = {short_bus(row.get("pci.bus_id", "")) for row in ours}
    cuts: dict[str, Callable[[str], str]] = {
        **dict.fromkeys(BY_INDEX, lambda text: _table(text, "index", indices)),
        "remap": lambda text: _table(text, "gpu_bus_id", buses, name_of=short_bus),
        "topology": lambda text: _matrix(text, [f"GPU{index}" for index in indices]),
        "nvlink": lambda text: _parts(text, r"GPU (\d+):", indices),
        "details": lambda text: _parts(text, r"GPU ([0-9A-Fa-f:.]+)\s*$", buses, name_of=short_bus),
    }
    return told | {
        name: dataclasses.replace(told[name], text=cut(told[name].text))
        for name, cut in cuts.items()
        if name in told
    }


def _is_named(row: Mapping[str, str], name: str) -> bool:
    # CUDA takes the beginning of a UUID, too.
    return row["index"] == name or (
        name.startswith("GPU-") and row.get("uuid", "").startswith(name)
    )


def _same(name: str) -> str:
    return name


def _table(
    text: str, first: str, ours: Collection[str], *, name_of: Callable[[str], str] = _same
) -> str:
    rows = read_table(text, first)
    if not rows:
        return text
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]))
    writer.writeheader()
    writer.writerows(row for row in rows if name_of(row[first]) in ours)
    return out.getvalue()


def _matrix(text: str, ours: Sequence[str]) -> str:
    joined = read_topology(text)
    if not joined:
        return text
    lines = [ours, *([a, *(joined.get((a, b), "X") for b in ours)] for a in ours)]
    return "\n".join("\t".join(line) for line in lines)


def _parts(
    text: str, heading: str, ours: Collection[str], *, name_of: Callable[[str], str] = _same
) -> str:
    found = list(re.finditer(rf"^{heading}", text, re.MULTILINE))
    starts = [match.start() for match in found]
    kept = [
        text[match.start() : end]
        for match, end in zip(found, [*starts[1:], len(text)], strict=False)
        if name_of(match[1]) in ours
    ]
    return text[: starts[0]] + "".join(kept) if found else text
