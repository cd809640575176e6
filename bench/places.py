"""Where baselines lie, and the places that wait for a machine we have not measured.

bench/baselines/<bench>.<hardware>.<cpu|cuda>.json
"""

import dataclasses
import re
from pathlib import Path

from bench.conf import ON_CPU
from bench.record import BenchResult, Conditions, write_result

DGX_B200 = Conditions(hardware="8 x NVIDIA B200", device="cuda")
DGX_B200_CPU = Conditions(hardware="224 cores of INTEL(R) XEON(R) PLATINUM 8570", device="cpu")
"""For what does not use a GPU."""


def slug(hardware: str) -> str:
    """Return a hardware's name as a part of a file's."""
    return re.sub(r"[^a-z0-9]+", "_", hardware.lower()).strip("_")


def baseline_path(folder: Path, result: BenchResult) -> Path:
    """Return where a result's baseline lies."""
    conditions = result.conditions
    return folder / f"{result.bench}.{slug(conditions.hardware)}.{conditions.device}.json"


def keep(folder: Path, result: BenchResult) -> Path:
    """Write a baseline and, where there is none, the place of the machine it is meant for.

    Returns:
        Where the baseline lies.
    """
    path = baseline_path(folder, result)
    write_result(path, result)
    place = empty_place(result)
    if not baseline_path(folder, place).exists():
        write_result(baseline_path(folder, place), place)
    return path


def empty_place(measured: BenchResult) -> BenchResult:
    """Return a DGX B200's result of the same rows and settings in which nothing is measured."""
    on_cpu = measured.bench in {bench.value for bench in ON_CPU}
    rows = tuple(
        dataclasses.replace(
            row, median=None, p95=None, repeats=0, warmup=0, ceiling=None, fraction=None
        )
        for row in measured.rows
    )
    return dataclasses.replace(
        measured,
        conditions=DGX_B200_CPU if on_cpu else DGX_B200,
        rows=rows,
        verdicts=("not measured",),
        command="",
        commit=None,
        dirty=False,
        measured=None,
        extra={},
    )
