"""One run folder as it stands on disk; nothing is measured or asked for anew.

The weekly status and the review both read runs here, so that one record says the same in both.
"""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.telemetry.cost import Prices
from jobs.runtime.record import FORMAT
from pipeline.core.errors import InputError
from pipeline.core.files import read_json
from pipeline.core.numbers import number
from pipeline.core.rundir import RunDir

STATUSES = ("finished", "running", "stopped", "failed")
FORMATS = {"bench.json": "dgx-pixels-bench/1", "report.json": "dgx-pixels-evaluation/1"}
"""Files beside ``run.json``, and the format that is understood of each."""
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
    ended: datetime.datetime | None
    """None: it runs, or was killed and left no word."""
    elapsed_s: float | None
    """None: it was killed, and nothing sampled beside it."""
    num_gpus: int | None
    """None: slices, which are no number of GPUs."""
    reason: str
    """Why it ended; empty: it came to its end, or runs."""
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
    """One run folder."""

    run_dir: RunDir
    record: Mapping[str, Any]
    """``run.json``."""
    job: str
    """Name of the verb."""
    status: str
    """One of ``STATUSES``, as it was last written."""
    figures: Mapping[str, Any]
    attempts: tuple[Attempt, ...]
    """Every attempt, at least one, in the order of the record."""
    prices: Prices

    @property
    def path(self) -> Path:
        """The folder."""
        return self.run_dir.path

    @property
    def name(self) -> str:
        """``<job>/<experiment>/<run_id>``."""
        return "/".join(self.path.parts[-3:])

    @property
    def commit(self) -> str:
        """Of the code it was frozen with; empty: not told. Reads ``code.json``."""
        try:
            return str(read_json(self.run_dir.code_json).get("commit") or "")
        except BROKEN:
            return ""

    @property
    def started(self) -> str:
        """When its first attempt began, ISO 8601 in UTC."""
        first = min(attempt.began for attempt in self.attempts)
        return first.astimezone(datetime.UTC).isoformat(timespec="seconds")

    @property
    def latest(self) -> datetime.datetime:
        """When its last attempt began: the week that its outcome counts in."""
        return self.attempts[-1].began

    @property
    def reason(self) -> str:
        """Why the last attempt ended; empty: it came to its end."""
        return self.attempts[-1].reason

    @property
    def elapsed_s(self) -> float:
        """Seconds of all attempts that left a word of it."""
        return sum(attempt.elapsed_s or 0.0 for attempt in self.attempts)

    @property
    def hours(self) -> float | None:
        """Time over all attempts; None: not known of each."""
        is_known = all(attempt.elapsed_s is not None for attempt in self.attempts)
        return self.elapsed_s / 3600 if is_known else None

    @property
    def gpu_hours(self) -> float | None:
        """Allocated GPUs x time as the run summed it up; None: not known, such as slices of one.

        What an attempt had that was killed without a word is not in it, but in its own.
        """
        return number(self.record.get("gpu_hours"))

    @property
    def telemetry(self) -> Mapping[str, Any]:
        """What was measured beside it; empty: nothing."""
        return _object(self.record, "telemetry")

    def figure(self, name: str) -> float | None:
        """Return a figure, None where it is absent or not a finite number."""
        return number(self.figures.get(name))

    def told(self, name: str) -> dict[str, Any] | None:
        """Return one of ``FORMATS``; None: the run has none.

        Raises:
            InputError: It is not of the format that is understood.
        """
        path = self.path / name
        return _of_format(path, FORMATS[name]) if path.is_file() else None


def read_run(folder: Path) -> Run:
    """Read one run folder.

    Raises:
        InputError: Its ``run.json`` is missing, half, of another format, or cannot be opened.
    """
    path = RunDir(folder).run_json
    try:
        return _read(RunDir(folder), _of_format(path, FORMAT))
    except BROKEN as error:
        raise InputError(f"{path}: {why(error, path)}") from None


def why(error: BaseException, path: Path) -> str:
    """Say what is wrong with a file, without its name."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    if isinstance(error, KeyError):
        return f"{error.args[0]} is missing"
    return str(error).removeprefix(f"{path}: ")


def _read(run_dir: RunDir, value: dict[str, Any]) -> Run:
    for key, kind in (("job", str), ("status", str), ("attempts", list), ("figures", dict)):
        if not isinstance(value[key], kind):
            raise InputError(f"{key} is {value[key]!r:.40}, not a {kind.__name__}")
    if value["status"] not in STATUSES:
        raise InputError(f"status is {value['status']!r:.40}; {', '.join(STATUSES)} are known")
    if not value["attempts"]:
        raise InputError("attempts is empty")
    prices = _object(_object(value, "telemetry"), "prices")
    return Run(
        run_dir=run_dir,
        record=value,
        job=value["job"],
        status=value["status"],
        figures=value["figures"],
        attempts=tuple(map(_attempt, value["attempts"])),
        prices=Prices(
            per_gpu_hour=number(prices.get("per_gpu_hour")),
            per_kwh=number(prices.get("per_kwh")),
            currency=str(prices.get("currency") or Prices().currency),
        ),
    )


def _attempt(value: Any) -> Attempt:
    if not isinstance(value, dict):
        raise InputError(f"attempts: {value!r:.40} is not an object")
    telemetry = _object(value, "telemetry")
    if telemetry:
        telemetry["xids"] = [int(xid) for xid in telemetry.get("xids") or ()]
        telemetry["throttled_s"] = _object(telemetry, "throttled_s")
    # A killed attempt leaves its samples, as in bench.telemetry.totals.
    elapsed_s = number(value.get("elapsed_s") or telemetry.get("sampled_s"))
    # Records of before there were GPUs to count have no such key.
    num_gpus = value.get("num_gpus", 0)
    ended = value.get("ended")
    return Attempt(
        job_id=str(value.get("job_id") or ""),
        began=_moment(value["started"], "started"),
        ended=None if ended is None else _moment(ended, "ended"),
        elapsed_s=None if elapsed_s is None else max(0.0, elapsed_s),
        num_gpus=None if num_gpus is None else _count(num_gpus),
        reason=str(value.get("reason") or ""),
        telemetry=telemetry,
    )


def _object(value: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return a copy of an object in another; empty where there is none."""
    found = value.get(key) or {}
    if not isinstance(found, dict):
        raise InputError(f"{key} is {found!r:.40}, not an object")
    return dict(found)


def _moment(text: Any, key: str) -> datetime.datetime:
    try:
        when = datetime.datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise InputError(f"{key} is {text!r:.40}, not a time in ISO 8601") from None
    return when if when.tzinfo else when.replace(tzinfo=datetime.UTC)


def _count(value: Any) -> int:
    if not isinstance(value, int) or number(value) is None or value < 0:
        raise InputError(f"num_gpus is {value!r:.40}; a whole number from 0 is allowed")
    return value


def _of_format(path: Path, told: str) -> dict[str, Any]:
    value = read_json(path)
    if value.get("format") != told:
        raise InputError(
            f"{path}: format is {value.get('format')!r:.60}; only {told!r} is understood"
        )
    return value
