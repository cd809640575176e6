"""All measurements of a sweep, one after the other, and what is told of them meanwhile."""

import dataclasses
import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.nccl.sweep import Sweep
from jobs.runtime.conf import TrackerConfig, WandbMode
from jobs.runtime.nccl_site import Site
from jobs.runtime.nccl_steps import (
    Asked,
    Point,
    Program,
    nccl_tests_command,
    read_nccl_tests,
    read_torch,
    run_command,
    torch_command,
)
from jobs.runtime.trackers import Trackers, build_trackers
from pipeline.core.rundir import RunDir

NVLS = "NCCL_NVLS_ENABLE"
ON, OFF = "2", "0"
"""2 is NCCL's default: it asks the driver for multicast first. 1 takes it for granted."""


def measure(
    site: Site,
    points: Sequence[Point],
    asked: Asked,
    *,
    programs: Mapping[str, Program],
    env: Mapping[str, str],
    raw: Path,
    tell: Callable[[str], None],
) -> Iterator[Sweep]:
    """Measure every operation at every point; yield each as soon as it is done.

    Args:
        site: Where.
        points: Numbers of ranks and settings of NVLS.
        asked: The rest.
        programs: Those of nccl-tests that are there; torch does the other operations.
        env: What processes get.
        raw: Folder for what they write and print.
        tell: Called with each command before it runs.
    """
    for point in points:
        theirs = env if point.nvls is None else {**env, NVLS: ON if point.nvls else OFF}
        has_nodes = point.num_ranks > site.ranks_per_node
        usable = {
            operation: program
            for operation, program in programs.items()
            if operation in asked.operations and (program.has_mpi or not has_nodes)
        }
        for operation, program in usable.items():
            log = raw / f"{operation}.{point.name}.txt"
            # nccl-tests never writes over a file: it would write beside it.
            log.with_suffix(".json").unlink(missing_ok=True)
            command = nccl_tests_command(
                site, point, asked, program, json_out=log.with_suffix(".json")
            )
            tell(shlex.join(command))
            trouble = run_command(command, theirs, log=log, limit_s=asked.limit_s)
            sweep = read_nccl_tests(operation, log=log, json_out=log.with_suffix(".json"))
            yield _checked(sweep, point, trouble)
        rest = tuple(each for each in asked.operations if each not in usable)
        if rest:
            yield from _by_torch(
                site, point, dataclasses.replace(asked, operations=rest), theirs, raw=raw, tell=tell
            )


def _by_torch(
    site: Site,
    point: Point,
    asked: Asked,
    env: Mapping[str, str],
    *,
    raw: Path,
    tell: Callable[[str], None],
) -> list[Sweep]:
    out = raw / f"torch.{point.name}.json"
    out.unlink(missing_ok=True)
    command = torch_command(site, point, asked, out=out)
    tell(shlex.join(command))
    trouble = run_command(command, env, log=out.with_suffix(".txt"), limit_s=asked.limit_s)
    done = {sweep.operation: sweep for sweep in read_torch(out)}
    device = site.gpu or "CPU"
    lost = (Sweep(operation=o, tool="torch", device=device) for o in asked.operations)
    return [
        # What was written was written whole: trouble came after it.
        _checked(
            done.get(sweep.operation, sweep), point, "" if sweep.operation in done else trouble
        )
        for sweep in lost
    ]


def _checked(sweep: Sweep, point: Point, trouble: str) -> Sweep:
    """Add the setting, and what speaks against believing the figures."""
    notes = [*sweep.notes, *([trouble] if trouble else [])]
    has_ranks = sweep.num_ranks in (None, point.num_ranks)
    if not has_ranks:
        notes.append(
            f"ran {sweep.num_ranks} ranks instead of {point.num_ranks}: is it built with MPI=1?"
        )
    return dataclasses.replace(
        sweep,
        num_ranks=point.num_ranks,
        nvls=point.nvls,
        complete=sweep.complete and has_ranks and not trouble,
        notes=tuple(notes),
    )


def open_tracker(run_dir: RunDir, *, wandb: str, settings: Mapping[str, Any]) -> Trackers:
    """Build the trackers. Side effect: W&B keeps all its files in the run folder."""
    for name in ("DATA", "CACHE", "CONFIG"):
        os.environ[f"WANDB_{name}_DIR"] = str(run_dir.path / "wandb" / name.lower())
    cfg = TrackerConfig(wandb=WandbMode(wandb), tags=["nccl"])
    return build_trackers(cfg, run_dir, config=settings, is_main=True)


def best_bandwidths(sweeps: Sequence[Sweep]) -> dict[str, float]:
    """Return the bus bandwidth of each operation at its largest message over all ranks, GB/s.

    Of two settings of NVLS the better one counts.
    """
    best: dict[str, float] = {}
    most = max((sweep.num_ranks or 0 for sweep in sweeps), default=0)
    for sweep in sweeps:
        busbw = sweep.largest.best.busbw if sweep.largest else None
        if sweep.num_ranks == most and busbw is not None:
            best[sweep.operation] = max(busbw, best.get(sweep.operation, 0.0))
    return best


def track(tracker: Trackers, sweeps: Sequence[Sweep], charts: Sequence[Path]) -> None:
    """Log figures by message size, which takes the place of images seen, and the charts."""
    by_size: dict[int, dict[str, float]] = {}
    for sweep in sweeps:
        for row in (each for each in sweep.rows if each.size_bytes):
            told = by_size.setdefault(row.size_bytes, {"nccl/size_bytes": row.size_bytes})
            if row.best.busbw is not None and row.best.time_us is not None:
                told[f"nccl/{sweep.name}/busbw_gb_per_s"] = row.best.busbw
                told[f"nccl/{sweep.name}/time_us"] = row.best.time_us
    for size_bytes in sorted(by_size):
        tracker.log(size_bytes, by_size[size_bytes])
    for chart in charts:
        tracker.log_image(max(by_size, default=0), f"nccl/{chart.stem}", chart)
