"""What run folders say of themselves; nothing is measured or asked for anew."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.core.errors import InputError
from pipeline.core.files import read_json
from pipeline.core.rundir import RunDir

FORMATS = {
    "run.json": "dgx-pixels-run/1",
    "bench.json": "dgx-pixels-bench/1",
    "report.json": "dgx-pixels-evaluation/1",
}
"""Files of a run folder, and the format that is understood of each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One run folder."""

    run_dir: RunDir
    record: dict[str, Any]
    """``run.json``."""
    commit: str
    """Of the code it was frozen with; empty: not told."""

    @property
    def name(self) -> str:
        """``<job>/<experiment>/<run_id>``."""
        return "/".join(self.run_dir.path.parts[-3:])

    @property
    def job(self) -> str:
        """Name of the verb."""
        return str(self.record["job"])

    @property
    def status(self) -> str:
        """Of the run, as it was last written."""
        return str(self.record["status"])

    @property
    def started(self) -> str:
        """First attempt's, ISO 8601 in UTC."""
        return str(min((each["started"] for each in self.attempts), default=""))

    @property
    def attempts(self) -> list[dict[str, Any]]:
        """Every attempt, the first one first."""
        return list(self.record["attempts"])

    @property
    def elapsed_s(self) -> float:
        """Seconds of all attempts that left a word of it."""
        return float(sum(each.get("elapsed_s") or 0.0 for each in self.attempts))

    @property
    def reason(self) -> str:
        """Why the last attempt ended; empty: it came to its end."""
        return str(self.attempts[-1].get("reason") or "") if self.attempts else ""

    @property
    def gpu_hours(self) -> float | None:
        """Allocated GPUs x time, all attempts; None: not known, such as slices of one."""
        hours = self.record.get("gpu_hours")
        return None if hours is None else float(hours)

    @property
    def telemetry(self) -> dict[str, Any]:
        """What was measured beside it; empty: nothing."""
        return dict(self.record.get("telemetry") or {})

    def told(self, name: str) -> dict[str, Any] | None:
        """Return one of ``FORMATS``; None: the run has none.

        Raises:
            InputError: It is not of the format that is understood.
        """
        path = self.run_dir.path / name
        return _of_format(path, FORMATS[name]) if path.is_file() else None


def read_runs(roots: list[Path]) -> tuple[list[Run], list[str]]:
    """Read runs, oldest first.

    Args:
        roots: Folders of all runs, or run folders.

    Returns:
        The runs; and one line for each that cannot be read.

    Raises:
        InputError: There is no run below a root.
    """
    runs, broken = {}, []
    for root in roots:
        paths = [root / "run.json"] if (root / "run.json").exists() else _run_files(root)
        if not paths:
            raise InputError(f"{root}: no run in it (runs/<job>/<name>/<run_id>/run.json)")
        for path in paths:
            folder = path.parent.resolve()
            try:
                runs[folder] = read_run(folder)
            except InputError as error:
                broken.append(str(error))
    return sorted(runs.values(), key=lambda run: (run.started, run.name)), sorted(set(broken))


def read_run(folder: Path) -> Run:
    """Read one run folder.

    Raises:
        InputError: Its ``run.json`` is missing, half or of another format.
    """
    record = _of_format(folder / "run.json", FORMATS["run.json"])
    for key, kind in (("job", str), ("status", str), ("attempts", list), ("figures", dict)):
        if not isinstance(record.get(key), kind):
            raise InputError(
                f"{folder / 'run.json'}: {key}: {record.get(key)!r} is not a {kind.__name__}"
            )
    if not all(isinstance(each, dict) and each.get("started") for each in record["attempts"]):
        raise InputError(f"{folder / 'run.json'}: attempts: one has no time of its start")
    return Run(run_dir=RunDir(folder), record=record, commit=_commit(folder))


def read_curve(path: Path, key: str) -> tuple[list[int], list[float]]:
    """Read one figure of a ``metrics.jsonl`` against images seen.

    A torn last line, and rows without the figure, are passed over.

    Returns:
        Images, in the order of the file; values.

    Raises:
        InputError: Another line is not JSON.
    """
    points = [
        (int(row["num_images"]), float(row[key]))
        for row in _rows(path)
        if isinstance(row.get(key), int | float) and "num_images" in row
    ]
    return [x for x, _ in points], [y for _, y in points]


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        return
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    for number, line in enumerate(lines[:-1], start=1):
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            raise InputError(f"{path}:{number}: not a row of figures; found {line[:40]!r}")
        yield row


def _run_files(root: Path) -> list[Path]:
    # Not deeper: a run's frozen code may hold run folders of its tests.
    return sorted(root.glob("*/*/*/run.json"))


def _of_format(path: Path, told: str) -> dict[str, Any]:
    value = read_json(path)
    if value.get("format") != told:
        raise InputError(f"{path}: format: {value.get('format')!r}; only {told!r} is understood")
    return value


def _commit(folder: Path) -> str:
    try:
        return str(read_json(folder / "code.json").get("commit") or "")
    except InputError:
        return ""
