"""A worker of the queue: takes places in queued runs, one after the other, until none is free."""

import os
import platform
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import IO

from jobs.runtime.freeze import load_job
from jobs.runtime.launch import setup_lines
from jobs.runtime.queue import Queued, read_queue
from jobs.runtime.record import last_reason
from jobs.runtime.stop import SIGNALS
from jobs.runtime.watch import EXIT_STOPPED
from pipeline.core.errors import InputError


class WorkerLoop:
    """One worker.

    Args:
        runs_dir: Folder of all runs.
        tell: Takes a line for people.
        starter: What started this worker; part of its attempts' job ids.
    """

    def __init__(self, runs_dir: Path, *, tell: Callable[[str], None], starter: str) -> None:
        self.runs_dir = runs_dir
        self.tell = tell
        self.name = f"queue-{starter}-{platform.node()}-{os.getpid()}"
        self.failed: set[Path] = set()
        """Entries that this worker failed at: it leaves them to others."""
        self._child: subprocess.Popen[bytes] | None = None
        self._is_stopped = False

    def run(self) -> int:
        """Work; return 0 when nothing is left to take, 3 after a stop, 1 after a failure.

        Raises:
            InputError: There is no queue, or it cannot be read.
        """
        before = {number: signal.signal(number, self._stop) for number in SIGNALS}
        try:
            while not self._is_stopped:
                taken = self._take()
                if taken is None:
                    break
                self._work(*taken)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        if self._is_stopped:
            return EXIT_STOPPED
        return 1 if self.failed else 0

    def _take(self) -> tuple[Queued, int, IO[str]] | None:
        for queued in read_queue(self.runs_dir):
            if queued.file in self.failed or queued.is_given_up:
                continue
            place = queued.take_place()
            if place is not None:
                return queued, *place
        return None

    def _work(self, queued: Queued, place: int, lock: IO[str]) -> None:
        self.tell(f"{queued.name}: place {place} of {queued.array}")
        with lock:
            status, why = self._draw(queued, place)
        if status == 0:
            # Another that has just begun says so in run.json, and takes it out when it ends.
            if queued.is_finished:
                queued.leave()
            self.tell(f"{queued.name}: every image is there")
        elif status == EXIT_STOPPED or self._is_stopped:
            # A process that is told to go before it listens has no status of its own for that.
            self._is_stopped = True
            self.tell(f"{queued.name}: stopped; another worker goes on with it")
        else:
            queued.fail(f"{self.name}: {why}")
            self.failed.add(queued.file)
            self.tell(f"{queued.name}: failed, {why}")

    def _draw(self, queued: Queued, place: int) -> tuple[int, str]:
        """Run a place in a process of its own; return its status, and why it failed."""
        run_dir = queued.run_dir
        try:
            cluster = load_job(run_dir)[1].cluster
        except InputError as error:
            return 2, str(error)
        # As on a node: the run's own code and environment.
        lines = [*setup_lines(run_dir, cluster), f"export DGX_PIXELS_WORKER={self.name}"]
        lines += ["export SUBMITIT_EXECUTOR=queue", 'exec "$@"']
        command = [sys.executable, "-m", "jobs.runtime.place", str(run_dir.path), str(place)]
        self._child = subprocess.Popen(
            ["bash", "-ec", "\n".join(lines), "bash", *command, str(queued.array)]
        )
        if self._is_stopped:
            # Told so while the process was being made.
            self._child.terminate()
        status = self._child.wait()
        self._child = None
        own = run_dir if queued.array == 1 else run_dir.part(place)
        return status, last_reason(own) or f"exit status {status}"

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        self._is_stopped = True
        if self._child is not None:
            self._child.send_signal(number)
