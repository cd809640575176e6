"""Sweep collectives over message sizes: ``sbatch sbatch/nccl_sweep.sh``, or here.

    python -m jobs.nccl --ranks 2 --max-bytes 64K
    python -m jobs.nccl --read all_reduce.json

nccl-tests' programs where there are any, torch.distributed for the rest (gloo on a CPU, and marked
so). In a Slurm job every measurement is a step of it. Writes tables, charts, result.json and what
the programs printed into a run folder. ``--read`` shows and judges what nccl-tests wrote elsewhere.
Exit status 1 when a figure is far below what is published, wrong, or missing.
"""

import argparse
import dataclasses
import functools
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.compare import unlike
from bench.nccl.parse import read_output
from bench.nccl.result import SWEEP_TO, build_result, place_for_b200
from bench.nccl.sweep import KIB, MIB, OPERATIONS, Sweep, human_size
from bench.nccl.table import format_sweep
from bench.nccl.verdict import Level, judge
from bench.places import baseline_path
from bench.record import BenchResult, here, read_result, write_result
from jobs.runtime.conf import WandbMode
from jobs.runtime.freeze import ROOT, new_run_id, read_origin
from jobs.runtime.nccl_run import best_bandwidths, measure, open_tracker, track
from jobs.runtime.nccl_site import Site, child_env, may_keep, read_site, this_env
from jobs.runtime.nccl_steps import Asked, Point, Program, default_ranks, find_program, points
from jobs.runtime.record import FINISHED, RunRecord
from pipeline.core.errors import InputError, one_line_errors
from pipeline.core.files import write_atomic
from pipeline.core.machine import read_machine
from pipeline.core.outcome import Outcome
from pipeline.core.rundir import RunDir

BASELINES = ROOT / "bench" / "baselines"
UNITS = {"": 1, "K": KIB, "M": MIB, "G": KIB * MIB}
USUAL = {
    "cuda": {"max_bytes": SWEEP_TO, "step_factor": 2, "iterations": 20, "warmup": 5},
    "cpu": {"max_bytes": MIB, "step_factor": 4, "iterations": 5, "warmup": 1},
}
"""A CPU shows that the sweep works, not how fast anything is."""


@one_line_errors
def main() -> int:
    """Measure, or read, and say what it means."""
    given = _parser().parse_args()
    if given.place:
        write_result(given.place, place_for_b200())
        return 0
    if given.read:
        return _show([read_output(path) for path in given.read])
    return _sweep(given)


def _sweep(given: argparse.Namespace) -> int:
    env = this_env()
    machine = read_machine()
    site = read_site(env, machine)
    asked = _asked(given, site)
    nvls = [each == "on" for each in given.nvls]
    todo = points(site, given.ranks or default_ranks(site), nvls)
    programs = _programs(given, site, asked)
    run_id = given.run_id or new_run_id("nccl")
    run_dir = RunDir((Path(given.runs_dir) / "nccl" / site.device / run_id).absolute())
    settings = _settings(asked, todo, site, child_env(env))
    record = RunRecord(
        run_dir,
        job="nccl",
        job_id=env.get("SLURM_JOB_ID", "inline"),
        num_ranks=max(point.num_ranks for point in todo),
        num_gpus=site.num_ranks if site.device == "cuda" else 0,
    )
    tracker = open_tracker(run_dir, wandb=given.wandb, settings=settings)
    print(f"run {run_dir.path}", flush=True)
    code = read_origin()
    build = functools.partial(
        build_result,
        conditions=here(
            device=site.device,
            num_ranks=max(point.num_ranks for point in todo),
            num_threads=1,
            machine=machine,
        ),
        settings=settings,
        command=shlex.join(["python", "-m", "jobs.nccl", *sys.argv[1:]]),
        commit=code["commit"],
        is_dirty=code["diff_sha256"] is not None,
        measured=record.value["attempts"][-1]["started"],
    )
    sweeps: list[Sweep] = []
    try:
        for sweep in measure(
            site, todo, asked, programs=programs, env=child_env(env), raw=run_dir.path / "raw",
            tell=lambda command: print(f"$ {command}", flush=True),
        ):  # fmt: skip
            sweeps.append(sweep)
            # Each time: the scheduler's limit may come before the next one is done.
            _write(run_dir, sweeps, build(sweeps))
    except BaseException as error:
        record.end("failed", reason=f"{type(error).__name__}: {error}", outcome=None)
        tracker.finish([], figures={}, succeeded=False)
        raise
    result = build(sweeps)
    charts = _draw(run_dir, sweeps)
    track(tracker, sweeps, charts)
    if given.textfile_dir:
        from jobs.runtime.textfile import write_nccl

        write_nccl(given.textfile_dir, best_bandwidths(sweeps))
    figures = {f"{row.name}_gb_per_s": row.median for row in result.rows if row.median is not None}
    lost = [sweep.name for sweep in sweeps if not sweep.complete]
    record.end(
        "failed" if lost else FINISHED,
        reason=f"not whole: {', '.join(lost)}" if lost else "",
        outcome=Outcome(finished=True, figures=dict(figures)),
    )
    tracker.finish([], figures=figures, succeeded=not lost)
    status = _show(sweeps, result=result)
    files = [run_dir.path / "table.txt", *charts, run_dir.path / "result.json"]
    if given.baseline:
        files += _keep_baseline(result, sweeps)
    print("\n".join(f"wrote {file}" for file in files))
    return status


def _asked(given: argparse.Namespace, site: Site) -> Asked:
    usual = USUAL[site.device]
    most = given.max_bytes or usual["max_bytes"]
    if most > site.max_bytes:
        print(f"--max-bytes: {human_size(most)} does not fit; up to {site.max_bytes} B are tried")
    most = min(most, site.max_bytes)
    if most < given.min_bytes:
        raise InputError(f"--max-bytes: {most} is below --min-bytes {given.min_bytes}")
    return Asked(
        operations=tuple(given.operations),
        min_bytes=given.min_bytes,
        max_bytes=most,
        step_factor=given.step_factor or usual["step_factor"],
        num_iterations=given.iterations or usual["iterations"],
        num_warmup=usual["warmup"] if given.warmup is None else given.warmup,
        dtype=given.dtype,
        limit_s=60 * given.limit_min,
        srun_args=tuple(shlex.split(given.srun_args)),
    )


def _programs(given: argparse.Namespace, site: Site, asked: Asked) -> dict[str, Program]:
    """Return nccl-tests' programs by operation, where they are wanted and of use."""
    if site.device == "cpu" or given.tool == "torch":
        return {}
    found = {name: find_program(name, given.nccl_tests) for name in asked.operations}
    programs = {name: program for name, program in found.items() if program}
    if given.nccl_tests and not programs:
        raise InputError(f"--nccl-tests: {given.nccl_tests} holds no {asked.operations[0]}_perf")
    return programs


def _settings(
    asked: Asked, todo: Sequence[Point], site: Site, env: Mapping[str, str]
) -> dict[str, Any]:
    told = dataclasses.asdict(asked)
    return {
        **{key: told[key] for key in told if key not in ("srun_args", "limit_s")},
        "operations": list(asked.operations),
        "points": [point.name for point in todo],
        "num_nodes": site.num_nodes,
        "backend": "nccl" if site.device == "cuda" else "gloo",
        "env": {name: env[name] for name in sorted(env) if may_keep(name)},
    }


def _write(run_dir: RunDir, sweeps: Sequence[Sweep], result: BenchResult) -> None:
    tables = "\n".join(format_sweep(sweep) for sweep in sweeps)
    write_atomic(run_dir.path / "table.txt", tables.encode())
    write_result(run_dir.path / "result.json", result)


def _draw(run_dir: RunDir, sweeps: Sequence[Sweep]) -> list[Path]:
    """Return the charts, one a number of ranks."""
    from bench.nccl.plot import plot_sweeps

    charts = []
    for num_ranks in sorted({sweep.num_ranks or 0 for sweep in sweeps if sweep.rows}):
        charts.append(run_dir.path / f"sweep-{num_ranks}.png")
        plot_sweeps([sweep for sweep in sweeps if sweep.num_ranks == num_ranks], charts[-1])
    return charts


def _keep_baseline(result: BenchResult, sweeps: Sequence[Sweep]) -> list[Path]:
    broken = [sweep.name for sweep in sweeps if not sweep.complete or sweep.wrong]
    if broken:
        print(f"no baseline: not whole or not right: {', '.join(broken)}")
        return []
    path = baseline_path(BASELINES, result)
    old = read_result(path) if path.is_file() else None
    # Its name tells neither nodes nor settings: a short sweep must not replace the whole one.
    other = [name for name, _, _ in unlike(old, result)] if old and old.measured else []
    if other:
        print(f"no baseline: {path} holds another sweep (what differs: {', '.join(other)})")
        return []
    write_result(path, result)
    return [path]


def _show(sweeps: Sequence[Sweep], *, result: BenchResult | None = None) -> int:
    """Print tables and verdicts; return the exit status."""
    for sweep in sweeps:
        print(format_sweep(sweep))
    verdicts = [judge(sweep) for sweep in sweeps]
    for line in result.verdicts if result else [verdict.text for verdict in verdicts]:
        print(line)
    return 1 if any(verdict.level is Level.fail for verdict in verdicts) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m jobs.nccl",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--ranks", type=_numbers, help="such as 2,4,8 (those, as far as there are, and all)")
    add("--operations", type=_operations, default=list(OPERATIONS), help="such as all_reduce")
    add("--nvls", type=_nvls, default=["on", "off"], help="on,off (both); GPUs only")
    add("--min-bytes", type=_size, default=8, help="smallest message (8)")
    add("--max-bytes", type=_size, help="largest message, such as 16G (16G; CPU: 1M)")
    add("--step-factor", type=_number, help="from one size to the next (2; CPU: 4)")
    add("--iterations", type=_number, help="timed calls a size (20; CPU: 5)")
    add("--warmup", type=int, help="calls before those (5; CPU: 1)")
    add("--dtype", default="float", help="of nccl-tests, such as bfloat16 (float)")
    add("--tool", choices=["auto", "torch"], default="auto", help="torch: leave nccl-tests alone")
    add("--nccl-tests", type=Path, help="folder of its programs (looked for in PATH)")
    add("--srun-args", default="", help="for every step, such as '--container-image=...'")
    add("--limit-min", type=_number, default=30, help="minutes one measurement may take (30)")
    add("--runs-dir", default="runs", help="folder of all runs (runs)")
    add("--run-id", help="name of the run folder (a new one)")
    add("--baseline", action="store_true", help="keep the result in bench/baselines too")
    add("--wandb", choices=[m.value for m in WandbMode], default="disabled", help="mirror to W&B")
    add("--textfile-dir", type=Path, help="of node_exporter's textfile collector: bus bandwidths")
    add("--read", type=Path, nargs="+", metavar="FILE", help="show and judge nccl-tests' outputs")
    add("--place", type=Path, metavar="FILE", help="write the empty file of a DGX B200")
    return parser


def _size(text: str) -> int:
    number, unit = text.rstrip("KMGkmg"), text[len(text.rstrip("KMGkmg")) :].upper()
    if not number.isdigit() or unit not in UNITS or int(number) < 4:
        raise argparse.ArgumentTypeError(f"{text}; allowed: 4 or more, such as 8, 64K, 1M, 16G")
    return int(number) * UNITS[unit]


def _number(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}; allowed: 1 or more")
    return int(text)


def _numbers(text: str) -> list[int]:
    return [_number(each) for each in text.split(",")]


def _operations(text: str) -> list[str]:
    return _among(text, OPERATIONS)


def _nvls(text: str) -> list[str]:
    return _among(text, ("on", "off"))


def _among(text: str, allowed: Mapping[str, Any] | Sequence[str]) -> list[str]:
    for each in text.split(","):
        if each not in allowed:
            raise argparse.ArgumentTypeError(f"{each}; allowed: {', '.join(allowed)}")
    return text.split(",")


if __name__ == "__main__":
    sys.exit(main())
