"""Run folders as they stand on disk: ``runs/<job>/<name>/<run_id>/run.json``, some 10,000 of them.

What cannot be read is one line each, and never ends the report.
"""

import datetime
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.telemetry.cost import Prices
from jobs.runtime.record import FORMAT
from pipeline.core.errors import InputError
from pipeline.core.files import read_json
from pipeline.core.rundir import RunDir

STATUSES = ("finished", "running", "stopped", "failed")
LARGEST = 1e18
"""Nothing that is counted here is as large."""
TAIL_BYTES = 65536
"""Of ``metrics.jsonl``; a row is far shorter."""
BROKEN = (
    InputError,
    OSError,
    KeyError,
    TypeError,
    ValueError,
    AttributeError,
    RecursionError,
    OverflowError,
)
"""What reading a file that somebody else may have written can raise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One time that a run was worked on."""

    job_id: str
    began: datetime.datetime
    elapsed_s: float | None
    """None: it was killed, and nothing sampled beside it."""
    num_gpus: int | None
    """None: slices, which are no number of GPUs."""
    reason: str
    telemetry: Mapping[str, Any]
    """As ``bench.telemetry.summary.summarise``; empty: not metered."""

    @property
    def gpu_hours(self) -> float | None:
        """Allocated GPUs times time; None: not known."""
        if self.num_gpus == 0:
            return 0.0
        if self.num_gpus is None or self.elapsed_s is None:
            return None
        return self.num_gpus * self.elapsed_s / 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run folder's record."""

    path: Path
    job: str
    status: str
    figures: Mapping[str, Any]
    attempts: tuple[Attempt, ...]
    prices: Prices

    @property
    def latest(self) -> datetime.datetime:
        """When its last attempt began: the week that its outcome counts in."""
        return self.attempts[-1].began

    @property
    def reason(self) -> str:
        """Why it ended."""
        return self.attempts[-1].reason

    @property
    def hours(self) -> float | None:
        """Time over all attempts; None: not known of each."""
        times_s = [attempt.elapsed_s for attempt in self.attempts]
        known_s = [time_s for time_s in times_s if time_s is not None]
        return sum(known_s) / 3600 if len(known_s) == len(times_s) else None

    def figure(self, name: str) -> float | None:
        """Return a figure, None where it is absent or not a finite number."""
        return number(self.figures.get(name))


@dataclass(slots=True, kw_only=True)
class Found:
    """What a folder of runs holds."""

    runs: list[Run] = field(default_factory=list)
    """By path."""
    problems: list[tuple[Path, str]] = field(default_factory=list)
    """Records that cannot be read, and why."""
    waiting: list[Path] = field(default_factory=list)
    """Folders that were frozen and have no record: in the queue, or lost before they began."""


def number(value: Any) -> float | None:
    """Return a finite number as it is, anything else as None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # Whole numbers have no end in JSON, but floats do. NaN is not below anything.
    return value if abs(value) < LARGEST else None


def find_runs(runs_dir: Path) -> Found:
    """Read every record below a folder.

    Raises:
        InputError: There is no such folder.
    """
    if not runs_dir.is_dir():
        raise InputError(f"--runs-dir: {runs_dir} is no folder")
    found = Found()
    for folder in _folders(runs_dir, found, depth=3):
        run_dir = RunDir(folder)
        try:
            if run_dir.run_json.exists():
                found.runs.append(_read(run_dir))
            elif run_dir.config.exists():
                found.waiting.append(folder)
        except BROKEN as error:
            found.problems.append((run_dir.run_json, why(error, run_dir.run_json)))
    return found


def why(error: BaseException, path: Path) -> str:
    """Say what is wrong with a file, without its name."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    if isinstance(error, KeyError):
        return f"{error.args[0]} is missing"
    return str(error).removeprefix(f"{path}: ")


def last_position(run_dir: RunDir) -> float | None:
    """Return images seen as the last whole row of ``metrics.jsonl`` has them; None: no such row."""
    try:
        with run_dir.metrics.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            line = file.read().rpartition(b"\n")[0].rpartition(b"\n")[2]
        return number(json.loads(line)["num_images"])
    except BROKEN:
        return None


def _folders(above: Path, found: Found, *, depth: int) -> Iterator[Path]:
    """Yield folders so deep, by name; what cannot be looked into goes to the problems."""
    names = []
    try:
        with os.scandir(above) as entries:
            for entry in entries:
                try:
                    names += [entry.name] if entry.is_dir() else []
                except OSError as error:
                    found.problems.append((Path(entry.path), why(error, above)))
    except OSError as error:
        found.problems.append((above, why(error, above)))
    for name in sorted(names):
        if depth == 1:
            yield above / name
        else:
            yield from _folders(above / name, found, depth=depth - 1)


def _read(run_dir: RunDir) -> Run:
    value = read_json(run_dir.run_json)
    if value.get("format") != FORMAT:
        raise InputError(f"format is {value.get('format')!r}; {FORMAT} is known")
    if value["status"] not in STATUSES:
        raise InputError(f"status is {value['status']!r}; {', '.join(STATUSES)} are known")
    if not value["attempts"]:
        raise InputError("attempts is empty")
    telemetry = value.get("telemetry") or {}
    prices = telemetry.get("prices") or {}
    return Run(
        path=run_dir.path,
        job=run_dir.path.parts[-3],
        status=value["status"],
        figures=dict(value["figures"]),
        attempts=tuple(_attempt(each) for each in value["attempts"]),
        prices=Prices(
            per_gpu_hour=number(prices.get("per_gpu_hour")),
            per_kwh=number(prices.get("per_kwh")),
            currency=str(prices.get("currency") or Prices().currency),
        ),
    )


def _count(value: Any) -> int:
    if not isinstance(value, int) or number(value) is None or value < 0:
        raise InputError(f"num_gpus is {value!r:.40}; a whole number from 0 is allowed")
    return value


def _attempt(value: Mapping[str, Any]) -> Attempt:
    began = datetime.datetime.fromisoformat(value["started"])
    if began.tzinfo is None:
        began = began.replace(tzinfo=datetime.UTC)
    telemetry = dict(value.get("telemetry") or {})
    if telemetry:
        telemetry["xids"] = [int(xid) for xid in telemetry.get("xids") or ()]
        telemetry["throttled_s"] = dict(telemetry.get("throttled_s") or {})
    # A killed attempt leaves its samples, as in bench.telemetry.totals.
    elapsed_s = number(value.get("elapsed_s") or telemetry.get("sampled_s"))
    # Records of before there were GPUs to count have no such key.
    num_gpus = value.get("num_gpus", 0)
    return Attempt(
        job_id=str(value["job_id"]),
        began=began,
        elapsed_s=None if elapsed_s is None else max(0.0, elapsed_s),
        num_gpus=None if num_gpus is None else _count(num_gpus),
        reason=str(value.get("reason") or ""),
        telemetry=telemetry,
    )
