"""Runs that W&B wrote offline, sent by its own client: ``wandb sync``, one folder at a time.

The client leaves with status 0 whatever became of the run, so what tells is the marker it writes
beside the file once all of it is there. A server that does not answer keeps it waiting for hours,
so every try has an end.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import InputError
from pipeline.core.files import read_json, write_json
from pipeline.core.rundir import RunDir

TRIES = 3
PAUSE_S = 5.0
"""Seconds before the second try; twice that before the third."""
TIMEOUT_S = 600.0
"""Seconds a try may take: a LoRA and its pictures over a slow line."""
KEY = re.compile(r"wandb_v\d+_\w+|\b[0-9a-f]{40}\b")
"""What a W&B key looks like."""
TORN = "incomplete record"
"""What the client (0.31.0) says of a file whose writer was killed: all before it was sent."""
NO_ANSWER = "the server did not answer in time"
HEADER_BYTES = 7
"""Of a file without a record."""
STARTS = r"offline-run-(\d{8}_\d{6})-"


@dataclass(frozen=True, kw_only=True, slots=True)
class Offline:
    """One attempt of a run, as W&B wrote it."""

    run_dir: RunDir
    file: Path
    """``run-<id>.wandb``."""

    @property
    def name(self) -> str:
        """``<job>/<experiment>/<run_id>`` and when the attempt began."""
        return f"{'/'.join(self.run_dir.path.parts[-3:])} {self.started}"

    @property
    def started(self) -> str:
        """When it began, in local time, as the folder is named."""
        found = re.match(STARTS, self.file.parent.name)
        return found.group(1) if found else ""

    @property
    def is_sent(self) -> bool:
        """Whether all that will ever be in it is on the server."""
        if self.file.with_suffix(".wandb.synced").exists():
            return True
        try:
            return read_json(self._torn)["size_bytes"] == self.file.stat().st_size
        except (InputError, KeyError):
            return False

    def note_torn(self) -> None:
        """Write down that no more than this can be sent of it, unless it grows."""
        write_json(self._torn, {"size_bytes": self.file.stat().st_size})

    @property
    def _torn(self) -> Path:
        return self.file.with_suffix(".wandb.torn")


@dataclass(frozen=True, kw_only=True, slots=True)
class Left:
    """One that was not sent, and why."""

    offline: Offline
    why: str


def find_offline(roots: Sequence[Path]) -> list[Offline]:
    """Return attempts that W&B wrote offline, in the order in which they began.

    Files of those that were killed before anything was in them are passed over.
    So the attempts of one run are sent in theirs, and what made an artifact before what used it.

    Args:
        roots: Folders of all runs, or run folders.

    Raises:
        InputError: A root is no folder.
    """
    found = {}
    for root in roots:
        if not root.is_dir():
            raise InputError(f"{root}: no such folder")
        for pattern in ("wandb/offline-run-*/*.wandb", "*/*/*/wandb/offline-run-*/*.wandb"):
            for file in root.resolve().glob(pattern):
                if file.stat().st_size > HEADER_BYTES:
                    found[file] = Offline(run_dir=RunDir(file.parents[2]), file=file)
    return sorted(found.values(), key=lambda each: (each.started, str(each.file)))


def still_written(offline: Offline, attempts: Sequence[Offline]) -> bool:
    """Say whether a job may still be writing it: the newest attempt of a run that runs."""
    newest = max(each.started for each in attempts if each.run_dir == offline.run_dir)
    try:
        status = read_json(offline.run_dir.run_json).get("status")
    except InputError:
        return False
    return status == "running" and offline.started == newest


def send(
    attempts: Sequence[Offline],
    *,
    tries: int = TRIES,
    timeout_s: float = TIMEOUT_S,
    pause_s: float = PAUSE_S,
    tell: Callable[[str], None],
) -> list[Left]:
    """Send what is not sent yet; go on where an earlier call left off.

    Args:
        attempts: In the order in which they are to be sent.
        tries: Of each, at least 1.
        timeout_s: Seconds of one try.
        pause_s: Seconds after the first try; doubled after each.
        tell: Takes a line for each that was sent.

    Returns:
        What is left.

    Raises:
        InputError: The client has no key.
    """
    waiting = [each for each in attempts if not each.is_sent]
    left = []
    for number, offline in enumerate(waiting, start=1):
        why = _send_one(offline, tries=tries, timeout_s=timeout_s, pause_s=pause_s)
        if not offline.is_sent:
            left.append(Left(offline=offline, why=why))
        if why == NO_ANSWER:
            # The next would wait as long for the same server.
            return left + [Left(offline=each, why="not tried") for each in waiting[number:]]
        if offline.is_sent:
            tell(f"{number} of {len(waiting)}: {offline.name}{f': {why}' if why else ''}")
    return left


def _send_one(offline: Offline, *, tries: int, timeout_s: float, pause_s: float) -> str:
    """Try until it is sent; return what the last try has to say."""
    why = ""
    for again in range(tries):
        if again:
            time.sleep(pause_s * 2 ** (again - 1))
        why = _try(offline, timeout_s)
        if offline.is_sent:
            break
    return why


def _try(offline: Offline, timeout_s: float) -> str:
    """Let the client send one; return what went wrong."""
    env = {name: value for name, value in os.environ.items() if name != "WANDB_MODE"}
    # Its own log goes beside the run, not to wherever this was called.
    env["WANDB_DIR"] = str(offline.run_dir.path)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "wandb", "sync", str(offline.file.parent)],
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return NO_ANSWER
    told = without_key(done.stdout + done.stderr)
    if "No API key" in told:
        raise InputError("W&B: no key; `wandb login`, or export WANDB_API_KEY")
    if offline.is_sent:
        return ""
    why = next(_errors(told), f"the client left with status {done.returncode} and no word")
    if TORN in why:
        offline.note_torn()
        return "all but its torn end: its writer was killed"
    return why


def without_key(told: str) -> str:
    """Take out what is a key, or looks like one."""
    known = os.environ.get("WANDB_API_KEY")
    return KEY.sub("***", told.replace(known, "***") if known else told)


def _errors(told: str) -> Iterator[str]:
    for line in told.splitlines():
        found = re.match(r"(?:wandb: ERROR|Error:) (.*)", line)
        if found and "error logs at" not in line:
            yield found.group(1)
