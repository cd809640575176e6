"""Sweeps as one ``BenchResult``, and the empty place for what nobody has measured yet."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from bench.nccl.expect import B200, Expectation, expected
from bench.nccl.sweep import GIB, OPERATIONS, Sweep, sweep_to_dict
from bench.nccl.verdict import expectation_of, judge, nvls_gains
from bench.record import NOT_MEASURED, BenchResult, Conditions, Row

BENCH = "nccl"
UNIT = "GB/s"
SWEEP_TO = 16 * GIB
"""Bytes: the largest size for which anything is published."""


def build_result(
    sweeps: Sequence[Sweep],
    *,
    conditions: Conditions,
    settings: Mapping[str, Any],
    command: str,
    commit: str | None,
    is_dirty: bool,
    measured: str,
) -> BenchResult:
    """Return the file's content: a row a sweep at its largest size, and all tables in ``extra``.

    Args:
        sweeps: What was measured.
        conditions: Of this machine; NCCL's version is added from the sweeps.
        settings: What was asked for.
        command: What was typed.
        commit: Of this code.
        is_dirty: Whether the code differs from the commit.
        measured: UTC time, ISO.
    """
    versions = {f"NCCL of {s.tool}": s.nccl for s in sweeps if s.nccl}
    return BenchResult(
        bench=BENCH,
        conditions=dataclasses.replace(
            conditions, versions=conditions.versions | dict(sorted(versions.items()))
        ),
        rows=tuple(_row(sweep, settings) for sweep in sweeps),
        settings=dict(settings),
        verdicts=(*(judge(sweep).text for sweep in sweeps), *nvls_gains(sweeps)),
        command=command,
        commit=commit,
        dirty=is_dirty,
        measured=measured,
        extra={"sweeps": [sweep_to_dict(sweep) for sweep in sweeps]},
    )


def place_for_b200() -> BenchResult:
    """Return the file of one DGX B200 with every figure still to be measured."""
    device = f"NVIDIA {B200}"
    rows = []
    for num_ranks in (2, 4, 8):
        for nvls in (True, False):
            for operation in OPERATIONS:
                sweep = Sweep(operation=operation, tool="", num_ranks=num_ranks, nvls=nvls)
                found = expected(
                    device, operation, num_ranks=num_ranks, num_nodes=1, nvls=nvls,
                    size_bytes=SWEEP_TO,
                )  # fmt: skip
                rows.append(Row(name=sweep.name, unit=UNIT, **_ceiling(found)))
    return BenchResult(
        bench=BENCH,
        conditions=Conditions(hardware=f"8 x {device}", device="cuda", num_ranks=8),
        rows=tuple(rows),
        settings={"max_bytes": SWEEP_TO},
        verdicts=(NOT_MEASURED,),
        command="sbatch --gpus-per-node=8 sbatch/nccl_sweep.sh",
    )


def _row(sweep: Sweep, settings: Mapping[str, Any]) -> Row:
    largest = sweep.largest
    if largest is None:
        return Row(name=sweep.name, unit=UNIT)
    published = expectation_of(sweep, largest)
    busbw = largest.best.busbw
    fraction = busbw / published.low if published and busbw else None
    return Row(
        name=sweep.name,
        unit=UNIT,
        median=busbw,
        repeats=settings.get("num_iterations", 0),
        warmup=settings.get("num_warmup", 0),
        fraction=None if fraction is None else float(f"{fraction:.6g}"),
        **_ceiling(published),
    )


def _ceiling(published: Expectation | None) -> dict[str, Any]:
    if published is None:
        return {}
    return {"ceiling": published.low, "ceiling_is": f"published: {published.source}"}
