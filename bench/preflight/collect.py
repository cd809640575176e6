"""Ask commands and other slow things, each alone and with a limit: none can hang or end the rest.

A driver in trouble does not fail, it hangs, often where no signal reaches it. So nothing here waits
for the end of what was asked: a command that is late is killed and left behind, a thread likewise.
"""

import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from os import killpg
from pathlib import Path
from typing import TypeVar

REAP_S = 0.2
"""Seconds a killed command has to go; one that is stuck in the kernel does not."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a command said, or why it said nothing."""

    text: str = ""
    """Standard output and error together."""
    trouble: str | None = None
    """Why the text is not an answer; None: it is one."""
    is_missing: bool = False
    """Whether the command is not installed."""


NOT_ASKED = Answer(trouble="not asked")


def ask(command: Sequence[str], *, limit_s: float) -> Answer:
    """Run a command; whatever happens is an ``Answer``.

    Args:
        command: Program and arguments.
        limit_s: Seconds until it is killed.
    """
    if shutil.which(command[0]) is None:
        return Answer(trouble=f"{command[0]} is not installed", is_missing=True)
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # A group of its own: what it started is killed with it.
            start_new_session=True,
        )
    except OSError as error:
        return Answer(trouble=f"{command[0]} cannot be run ({error.strerror})")
    try:
        output, _ = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        _abandon(process)
        return Answer(trouble=f"`{_name(command)}` gave no answer within {limit_s:g} s")
    text = output.decode("utf-8", errors="replace")
    if process.returncode:
        said = next((line.strip() for line in text.splitlines() if line.strip()), "nothing")
        status = f"`{_name(command)}` ended with status {process.returncode}"
        return Answer(text=text, trouble=f"{status}: {said[:200]}")
    return Answer(text=text)


def _name(command: Sequence[str]) -> str:
    """Program and first argument, without the folder the program is in."""
    return " ".join([Path(command[0]).name, *command[1:2]])


def _abandon(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        killpg(process.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=REAP_S)
    if process.stdout is not None:
        process.stdout.close()


def gather(tasks: Mapping[str, Callable[[], T]], *, limit_s: float) -> dict[str, T | Exception]:
    """Run all tasks at once, each in a thread of its own; return what each gave or raised.

    Args:
        tasks: By name.
        limit_s: Seconds for all of them together; a task that is not done is a ``TimeoutError``.
    """
    given: dict[str, T | Exception] = {}

    def run(name: str, task: Callable[[], T]) -> None:
        try:
            given[name] = task()
        except Exception as error:  # one probe's trouble must not be another's
            given[name] = error

    threads = [
        threading.Thread(target=run, args=item, daemon=True, name=f"preflight {item[0]}")
        for item in tasks.items()
    ]
    end_s = time.monotonic() + limit_s
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, end_s - time.monotonic()))
    late = TimeoutError(f"no answer within {limit_s:g} s")
    return {name: given.get(name, late) for name in tasks}
