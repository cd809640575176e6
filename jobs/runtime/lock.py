"""One job at a time in a run folder. The lock dies with its holder, however that dies."""

import fcntl
import platform
import time
from pathlib import Path
from typing import IO

from pipeline.core.errors import InputError
from pipeline.core.rundir import RunDir
from pipeline.core.world import World

WAIT_S = 600.0
"""How long the other ranks wait for the main one: it starts with them, but may start last."""
POLL_S = 0.1


def take_lock(run_dir: RunDir, world: World, *, holder: str) -> list[IO[str]]:
    """Hold the run folder for a job; its other ranks wait until its main rank holds it.

    A job of an array holds its own part, and shares the run with jobs of an array of the same
    shape: processes are numbered over all of them.

    Returns:
        The open files that are the lock, on the main rank.

    Raises:
        InputError: Another job holds it.
    """
    if run_dir.whole is None or not world.is_main:
        own = _take_own(run_dir, world, holder=holder)
        return [own] if own else []
    shape = f"array of {world.array_size} x {world.world_size}"
    shared = _share(run_dir.whole.path / "lock", f"{shape} on this file system")
    try:
        own = _take_own(run_dir, world, holder=holder)
    except InputError:
        shared.close()
        raise
    return [shared, own] if own else [shared]


def _share(path: Path, shape: str) -> IO[str]:
    file = path.open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        file.truncate(0)
        file.write(f"{shape}\n")
        file.flush()
    except BlockingIOError:
        pass
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise InputError(_in_use(path)) from None
    file.seek(0)
    if file.read().strip() != shape:
        file.close()
        raise InputError(_in_use(path))
    return file


def _take_own(run_dir: RunDir, world: World, *, holder: str) -> IO[str] | None:
    path = run_dir.path / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not world.is_main:
        _wait_for_main(path, holder)
        return None
    file = path.open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise InputError(_in_use(path)) from None
    file.truncate(0)
    file.write(f"{holder} on {platform.node()}\n")
    file.flush()
    return file


def _wait_for_main(path: Path, holder: str) -> None:
    end_s = time.monotonic() + WAIT_S
    while time.monotonic() < end_s:
        if path.exists() and path.read_text(encoding="utf-8").startswith(f"{holder} on "):
            return
        time.sleep(POLL_S)
    raise InputError(_in_use(path))


def _in_use(path: Path) -> str:
    told = path.read_text(encoding="utf-8").strip() if path.exists() else ""
    return f"run_id: {path.parent} is in use by job {told or 'unknown'}; wait for it or cancel it"
