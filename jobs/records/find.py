"""Every run folder there is: ``runs/<job>/<name>/<run_id>/run.json``, some 10,000 of them.

What cannot be read is one line each, and never ends a report.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jobs.records.runs import Run, read_run, why
from pipeline.core.errors import InputError
from pipeline.core.rundir import RunDir

DEPTH = 3
"""Folders from the root to a run. Not deeper: a run's frozen code may hold runs of its tests."""


@dataclass(slots=True, kw_only=True)
class Found:
    """What a folder of runs holds."""

    runs: list[Run] = field(default_factory=list)
    """By path."""
    problems: list[tuple[Path, str]] = field(default_factory=list)
    """Records that cannot be read, and why."""
    waiting: list[Path] = field(default_factory=list)
    """Folders that were frozen and have no record: in the queue, or lost before they began."""


def find_runs(runs_dir: Path) -> Found:
    """Read every record below a folder.

    Raises:
        InputError: There is no such folder.
    """
    if not runs_dir.is_dir():
        raise InputError(f"{runs_dir}: no such folder of runs")
    found = Found()
    for folder in _folders(runs_dir, found, depth=DEPTH):
        run_dir = RunDir(folder)
        try:
            if run_dir.run_json.exists():
                found.runs.append(read_run(folder))
            elif run_dir.config.exists():
                found.waiting.append(folder)
        except (InputError, OSError) as error:
            found.problems.append((run_dir.run_json, why(error, run_dir.run_json)))
    return found


def read_runs(roots: Sequence[Path]) -> tuple[list[Run], list[str]]:
    """Read runs, oldest first.

    Args:
        roots: Folders of all runs, or run folders.

    Returns:
        The runs; and one line for each that cannot be read.

    Raises:
        InputError: There is no run below a root.
    """
    runs: dict[Path, Run] = {}
    problems: set[tuple[Path, str]] = set()
    for root in (root.resolve() for root in roots):
        found = _found(root)
        if not found.runs and not found.problems:
            raise InputError(f"{root}: no run in it (runs/<job>/<name>/<run_id>/run.json)")
        runs |= {run.path: run for run in found.runs}
        problems |= set(found.problems)
    broken = sorted(f"{path}: {said}" for path, said in problems)
    return sorted(runs.values(), key=lambda run: (run.started, run.name)), broken


def _found(root: Path) -> Found:
    path = RunDir(root).run_json
    if not path.exists():
        return find_runs(root)
    try:
        return Found(runs=[read_run(root)])
    except InputError as error:
        return Found(problems=[(path, why(error, path))])


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
