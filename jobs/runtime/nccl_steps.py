"""One measurement, one group of processes: with Slurm a step, without one children of this process.

NCCL reads ``NCCL_NVLS_ENABLE`` once a process, and a group of k ranks inside a larger job leaves
the others' links idle or, worse, not idle. So every number of ranks and every setting gets
processes of its own, whatever the tool, and one that dies takes only its own figures with it.
"""

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.nccl.parse import read_output
from bench.nccl.parse_json import scrub_env
from bench.nccl.sweep import Sweep, sweep_from_dict
from jobs.runtime.nccl_site import Site, may_keep
from pipeline.core.errors import InputError
from pipeline.core.files import write_atomic

PROBE_S = 30
GRACE_S = 40
LINE_LENGTH = 200
RANK_MODULE = "jobs.runtime.nccl_rank"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked of every measurement."""

    operations: tuple[str, ...]
    min_bytes: int
    max_bytes: int
    step_factor: int
    num_iterations: int
    num_warmup: int
    dtype: str
    """Of nccl-tests; torch's sweep takes float."""
    limit_s: int
    """Seconds one group of processes may take."""
    srun_args: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One number of ranks with one setting of NVLS."""

    num_ranks: int
    nvls: bool | None

    @property
    def name(self) -> str:
        """What its files are called."""
        return f"{self.num_ranks}" + (
            "" if self.nvls is None else f".nvls_{'on' if self.nvls else 'off'}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program of nccl-tests."""

    path: str
    has_mpi: bool
    """Whether it is one process a GPU."""
    writes_json: bool


def points(site: Site, ranks: Sequence[int], nvls: Sequence[bool]) -> list[Point]:
    """Return what to measure; on a CPU there is no NVLS to set.

    Raises:
        InputError: More ranks than there are, or a single GPU.
    """
    if site.num_ranks < 2:
        raise InputError("--ranks: a collective needs two GPUs, this allocation has one")
    for num_ranks in ranks:
        if not 2 <= num_ranks <= site.num_ranks:
            raise InputError(
                f"--ranks: {num_ranks}; allowed: 2 to {site.num_ranks}, what this allocation has"
            )
        if num_ranks > site.ranks_per_node and num_ranks % site.ranks_per_node:
            raise InputError(
                f"--ranks: {num_ranks} does not fill whole nodes of {site.ranks_per_node}"
            )
    settings: list[bool | None] = [None] if site.device == "cpu" else list(nvls)
    return [Point(num_ranks=n, nvls=each) for n in ranks for each in settings]


def default_ranks(site: Site) -> list[int]:
    """Return 2, 4, 8 as far as a node goes, and all ranks of all nodes."""
    within = [n for n in (2, 4, 8) if n <= site.ranks_per_node]
    return sorted({*within, site.num_ranks} - {0, 1})


def find_program(operation: str, folder: Path | None) -> Program | None:
    """Return an operation's program from a folder or the PATH; None: there is none.

    One process a GPU (``_mpi``, as NVIDIA's images name them) is preferred.
    """
    for name in (f"{operation}_perf_mpi", f"{operation}_perf"):
        found = shutil.which(name, path=str(folder) if folder else None)
        if found:
            links = _told_by("ldd", found)
            return Program(
                path=found,
                has_mpi=name.endswith("_mpi") or "libmpi" in links,
                writes_json="-J" in _told_by(found, "-h"),
            )
    return None


def _told_by(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout + done.stderr


def srun(site: Site, num_ranks: int, *, num_tasks: int, more: Sequence[str]) -> list[str]:
    """Return the start of a step's command: ``num_tasks`` on as few nodes as hold the ranks."""
    num_nodes = -(-num_ranks // site.ranks_per_node)
    return [
        "srun",
        f"--nodes={num_nodes}",
        f"--ntasks={num_tasks}",
        f"--ntasks-per-node={num_tasks // num_nodes}",
        "--relative=0",  # the first nodes, where the ranks meet
        "--overlap",
        "--kill-on-bad-exit=1",
        # Ranks of a CPU are more than its cores; those of GPUs are not to be bound to one core.
        *(["--overcommit"] if site.device == "cpu" else ["--cpu-bind=none"]),
        *more,
    ]


def torch_command(site: Site, point: Point, asked: Asked, *, out: Path) -> list[str]:
    """Return what runs torch's sweep of all operations."""
    arguments = [
        f"--operations={','.join(asked.operations)}",
        f"--min-bytes={asked.min_bytes}",
        f"--max-bytes={asked.max_bytes}",
        f"--step-factor={asked.step_factor}",
        f"--num-iterations={asked.num_iterations}",
        f"--num-warmup={asked.num_warmup}",
        f"--device={site.device}",
        f"--out={out}",
    ]
    if not site.in_slurm:
        alone = [
            "-m",
            "torch.distributed.run",
            "--standalone",
            f"--nproc-per-node={point.num_ranks}",
        ]
        return [sys.executable, *alone, "-m", RANK_MODULE, *arguments]
    step = srun(site, point.num_ranks, num_tasks=point.num_ranks, more=asked.srun_args)
    meet = f"--meet=tcp://{_host(site, point)}:{_free_port()}"
    return [*step, sys.executable, "-m", RANK_MODULE, meet, *arguments]


def nccl_tests_command(
    site: Site, point: Point, asked: Asked, program: Program, *, json_out: Path
) -> list[str]:
    """Return what runs one program of nccl-tests; without MPI one process has all GPUs."""
    gpus_a_task = 1 if program.has_mpi else point.num_ranks
    arguments = [
        program.path,
        *("-b", str(asked.min_bytes), "-e", str(asked.max_bytes), "-f", str(asked.step_factor)),
        *("-n", str(asked.num_iterations), "-w", str(asked.num_warmup), "-c", "1"),
        *("-d", asked.dtype, "-t", "1", "-g", str(gpus_a_task)),
        *(["-J", str(json_out)] if program.writes_json else []),
    ]
    if not site.in_slurm:
        return [*(["mpirun", "-np", str(point.num_ranks)] if program.has_mpi else []), *arguments]
    tasks = point.num_ranks if program.has_mpi else 1
    mpi = ["--mpi=pmix"] if program.has_mpi else []
    return [
        *srun(site, point.num_ranks, num_tasks=tasks, more=[*mpi, *asked.srun_args]),
        *arguments,
    ]


def run_command(command: Sequence[str], env: Mapping[str, str], *, log: Path, limit_s: int) -> str:
    """Run to the end, both outputs into ``log``; return what went wrong, empty if nothing did."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as file:
        try:
            process = subprocess.Popen(
                command, env=dict(env), stdin=subprocess.DEVNULL, stdout=file, stderr=file
            )
        except OSError as error:
            return f"{command[0]}: {error.strerror}"
        try:
            status = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            _end(process)
            return f"not done after {limit_s} s{_last_line(log)}"
    return "" if status == 0 else f"exit status {status}{_last_line(log)}"


def read_nccl_tests(operation: str, *, log: Path, json_out: Path) -> Sweep:
    """Read what a program left: its JSON where that tells anything, else what it printed.

    Side effect: the JSON is rewritten without what may not stand in a file.
    """
    told = []
    if json_out.exists():
        text = json_out.read_text(encoding="utf-8", errors="replace")
        write_atomic(json_out, scrub_env(text, keep=may_keep).encode())
        told.append(json_out)
    notes = []
    for path in (*told, log):
        try:
            sweep = read_output(path, operation=operation)
        except InputError as error:
            notes.append(str(error))
            continue
        if sweep.rows or path == log:
            return sweep
    return Sweep(operation=operation, tool="nccl-tests", notes=tuple(notes))


def read_torch(path: Path) -> list[Sweep]:
    """Read what torch's sweep has written so far."""
    if not path.exists():
        return []
    return [sweep_from_dict(value) for value in json.loads(path.read_text(encoding="utf-8"))]


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask first: srun and torch.distributed.run then end their ranks, killed they leave them."""
    process.terminate()
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return f": {lines[-1].strip()[:LINE_LENGTH]}" if lines else ""


def _host(site: Site, point: Point) -> str:
    return "127.0.0.1" if point.num_ranks <= site.ranks_per_node else socket.gethostname()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("", 0))
        port: int = free.getsockname()[1]
        return port
