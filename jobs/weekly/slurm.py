"""What Slurm's accounting says: GPU-hours of every attempt, and how long jobs waited.

Fields and options as in sacct(1). ``--duplicates`` lists each attempt of a requeued job; without
it only the last is told, and the hours of the others are lost.
"""

import datetime
import math
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from jobs.records.week import WEEK, Week
from pipeline.core.numbers import number

FIELDS = ("JobID", "JobIDRaw", "Partition", "State", "Eligible", "Start", "ElapsedRaw", "AllocTRES")
TIMEOUT_S = 60
NO_SACCT = "there is no sacct here"
LOST = ("REQUEUED", "PREEMPTED", "NODE_FAIL", "FAILED", "TIMEOUT", "OUT_OF_MEMORY", "BOOT_FAIL")
"""States of an attempt whose time went into something that had to be begun again, or was lost."""
ALIVE = ("PENDING", "RUNNING", "SUSPENDED", "REQUEUED", "RESIZING", "PREEMPTED")


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmJob:
    """One attempt of one job."""

    ids: frozenset[str]
    """As users and as Slurm itself count: ``12_3`` and ``15`` for a task of an array."""
    partition: str
    state: str
    """Without who cancelled it."""
    eligible_s: float | None
    """When it might have begun, seconds of the epoch."""
    start_s: float | None
    """None: it has not begun."""
    elapsed_s: float
    num_gpus: int


@dataclass(slots=True, kw_only=True)
class Accounting:
    """What ``sacct`` answered."""

    jobs: list[SlurmJob] = field(default_factory=list)
    silence: str | None = None
    """Why there is nothing; None: it answered."""
    num_unread: int = 0
    """Lines that are not as documented."""


@dataclass(slots=True, kw_only=True)
class SlurmSums:
    """One week of Slurm."""

    num_jobs: int = 0
    num_attempts: int = 0
    gpu_hours: float = 0.0
    """Of all attempts, as far as they lie in the week."""
    lost_gpu_hours: float = 0.0
    """Of those, attempts that ended in one of ``LOST``."""
    waits_min: dict[str, list[float]] = field(default_factory=dict)
    """By partition: start less eligible time of attempts that began in the week."""


def ask_sacct(week: Week) -> Accounting:
    """Ask for a week and the one before, with a day on both sides: sacct reads local time."""
    day = datetime.timedelta(days=1)
    command = (
        # Seconds of the epoch, whatever the zone of the cluster.
        "env",
        "SLURM_TIME_FORMAT=%s",
        "sacct",
        "--duplicates",
        "--allocations",
        "--parsable2",
        "--noheader",
        f"--starttime={week.start - WEEK - day:%Y-%m-%d}",
        f"--endtime={week.end + day:%Y-%m-%d}",
        f"--format={','.join(FIELDS)}",
    )
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=TIMEOUT_S,
        )
    except OSError:
        return Accounting(silence=NO_SACCT)
    except subprocess.TimeoutExpired:
        return Accounting(silence=f"sacct did not answer in {TIMEOUT_S} s")
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no word"])[-1]
        missing = done.returncode == 127  # what env says of a command that is not there
        return Accounting(
            silence=NO_SACCT if missing else f"sacct says: {said.removeprefix('sacct: ')}"
        )
    return parse_sacct(done.stdout)


def parse_sacct(text: str) -> Accounting:
    """Read lines of ``FIELDS``, separated by ``|``."""
    accounting = Accounting()
    for line in text.splitlines():
        cells = line.split("|")
        try:
            accounting.jobs.append(_job(dict(zip(FIELDS, cells, strict=True))))
        except ValueError:
            accounting.num_unread += bool(line.strip())
    return accounting


def _job(cells: dict[str, str]) -> SlurmJob:
    return SlurmJob(
        ids=frozenset((cells["JobID"], cells["JobIDRaw"])),
        partition=cells["Partition"],
        # CANCELLED by 1000; RUNNING+ where a column was too narrow.
        state=cells["State"].split(" ")[0].rstrip("+"),
        eligible_s=_time_s(cells["Eligible"]),
        # Of one that was cancelled in the queue, sacct gives that moment as the start.
        start_s=_time_s(cells["Start"]) if cells["AllocTRES"] else None,
        elapsed_s=_finite(cells["ElapsedRaw"] or "0"),
        num_gpus=_gpus(cells["AllocTRES"]),
    )


def _time_s(text: str) -> float | None:
    return None if text in {"", "Unknown", "None"} else _finite(text)


def _finite(text: str) -> float:
    value = number(float(text))
    if value is None or value < 0:
        raise ValueError(text)
    return value


def _gpus(tres: str) -> int:
    """Count GPUs of ``cpu=8,gres/gpu:b200=2,gres/gpu=2``; types are parts of the whole."""
    counts = dict(part.split("=", 1) for part in tres.split(",") if part)
    if "gres/gpu" in counts:
        return int(_finite(counts["gres/gpu"]))
    typed = (count for name, count in counts.items() if name.startswith("gres/gpu:"))
    return sum(int(_finite(count)) for count in typed)


def sum_slurm(jobs: Sequence[SlurmJob], week: Week) -> SlurmSums:
    """Add up one week: hours by overlap with it, waits by when the attempt began."""
    sums = SlurmSums()
    begin_s, end_s = week.start.timestamp(), week.end.timestamp()
    seen: set[frozenset[str]] = set()
    for job in jobs:
        if job.start_s is None:
            continue
        inside_s = min(job.start_s + job.elapsed_s, end_s) - max(job.start_s, begin_s)
        begun = begin_s <= job.start_s < end_s
        if inside_s <= 0 and not begun:
            continue
        seen.add(job.ids)
        sums.num_attempts += 1
        gpu_hours = job.num_gpus * max(0.0, inside_s) / 3600
        sums.gpu_hours += gpu_hours
        sums.lost_gpu_hours += gpu_hours if job.state in LOST else 0.0
        if begun and job.eligible_s is not None:
            wait_min = max(0.0, job.start_s - job.eligible_s) / 60
            sums.waits_min.setdefault(job.partition, []).append(wait_min)
    sums.num_jobs = len(seen)
    return sums


def quantiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the median, the 95th percentile and the largest of at least one."""
    return float(np.median(values)), float(np.quantile(values, 0.95)), max(values)


def ended(jobs: Sequence[SlurmJob]) -> Iterator[tuple[str, str]]:
    """Yield id and state of jobs whose last attempt is over."""
    last: dict[frozenset[str], SlurmJob] = {}
    for job in jobs:
        known = last.get(job.ids)
        if known is None or _start_s(job) >= _start_s(known):
            last[job.ids] = job
    for ids, job in last.items():
        if job.state not in ALIVE:
            yield from ((each, job.state) for each in sorted(ids))


def _start_s(job: SlurmJob) -> float:
    """When an attempt began; what waits comes after all that ran."""
    return math.inf if job.start_s is None else job.start_s
