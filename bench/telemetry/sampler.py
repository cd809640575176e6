"""Samples beside a job, in a thread of its own, and never gets in its way.

One file a node, ``<node>.jsonl``, appended to by every attempt. First line of an attempt::

    {"format": "dgx-pixels-telemetry/1", "attempt": ..., "node": ..., "source": ..., ...}

then one a sample: ``{"t_s", "host": {...}, "gpus": {uuid: {...}}}``, names and units as in
``bench.telemetry.fields``, what is not told left out; ``about`` where more of the first line is
known: source and scope, once the probes are over; ``note`` where something went wrong, ``end`` on
the last. A torn line, from a kill or a full disk, costs that sample.
"""

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from bench.telemetry.process import ProcessTree
from bench.telemetry.sources import Opener, Source, choose, openers
from bench.telemetry.stream import ShouldStop, SourceError

log = logging.getLogger(__name__)

FORMAT = "dgx-pixels-telemetry/1"
FindWays = Callable[[ShouldStop], tuple[Sequence[Opener], dict[str, Any]]]
RETRY_S = 60.0
"""How long after a source died another one is looked for."""
FIRST_S = 60.0
"""How long a first sample is waited for where one is: a tool that hangs is given up before."""
STOP_S = 10.0
"""How long an end is waited for: a driver that hangs, or a file system, is left behind."""


class Sampler:
    """Writes what the node does into a file, until it is told to stop.

    Nothing it does raises, draws a random number, or is waited for by the job, save at the end for
    ``STOP_S`` at most.

    Args:
        path: File to append to.
        attempt: Which attempt this is: a word that all nodes share.
        node: Name of the node.
        interval_s: Seconds between samples; there is one at the start and one at the end as well.
        root: Process whose tree is the job on this node; None: this one.
        about: More for the first line; with a reason in ``shared``, counters are not the job's own.
        find_ways: Returns the sources to try, none where no GPU is the job's, and what there is to
            say of them: ``scope``, whose GPUs they tell of, and ``mig``. Called in the thread with
            whether to give up, since a driver may be slow to answer. None: all of the node.
    """

    def __init__(
        self,
        path: Path,
        *,
        attempt: str,
        node: str,
        interval_s: float,
        root: int | None = None,
        about: dict[str, Any] | None = None,
        find_ways: FindWays | None = None,
    ) -> None:
        self._path = path
        self._head: dict[str, Any] = {
            "format": FORMAT,
            "attempt": attempt,
            "node": node,
            "interval_s": interval_s,
            "source": "process",
            **(about or {}),
        }
        self._about: dict[str, Any] = {}
        """What the next row that is not lost has to say besides."""
        self._interval_s = interval_s
        self._find_ways = find_ways or self._all_gpus
        self._ways: Sequence[Opener] = ()
        self._tree: ProcessTree | None = None
        self._root = os.getpid() if root is None else root
        self._source: Source | None = None
        self._lost_s = 0.0
        self._file: IO[str] | None = None
        self._num_lost_rows = 0
        self._begun = threading.Event()
        self._done = threading.Event()
        self._start_s = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)

    def start(self) -> "Sampler":
        """Begin."""
        self._thread.start()
        return self

    def wait_for_first(self) -> None:
        """Wait until the probes are over and a sample is taken, ``FIRST_S`` at most."""
        self._begun.wait(FIRST_S)

    def stop(self) -> None:
        """Take a last sample and end; returns after ``STOP_S`` at most, a second time at once."""
        if self._done.is_set():
            return
        self._done.set()
        if self._thread.ident is not None:
            self._thread.join(STOP_S)

    def _run(self) -> None:
        try:
            self._open()
            while not self._done.is_set():
                began_s = time.monotonic()
                self._sample()
                self._begun.set()
                self._done.wait(max(0.0, self._interval_s - (time.monotonic() - began_s)))
            self._sample(end=True)
        except Exception as error:  # whatever it is, the job goes on
            log.warning("telemetry: ended by %s: %s", type(error).__name__, error)
        finally:
            self._begun.set()
            self._close()

    def _open(self) -> None:
        self._tree = ProcessTree(self._root)
        # Written before the probes, which may take seconds: a job may be killed meanwhile.
        self._write(self._head)
        self._write({"t_s": self._elapsed_s(), "host": self._tree.read(), "gpus": {}})
        should_stop = self._done.is_set
        self._ways, about = self._find_ways(should_stop)
        self._source, refused = choose(self._ways, should_stop)
        name = self._source.name if self._source else "process"
        self._about = about | {"source": name, "no": refused}

    def _all_gpus(self, should_stop: ShouldStop) -> tuple[Sequence[Opener], dict[str, Any]]:
        ways = openers(interval_s=self._interval_s, uuids=None, should_stop=should_stop)
        return ways, {"scope": "all GPUs of the node"}

    def _sample(self, *, end: bool = False) -> None:
        assert self._tree is not None
        row: dict[str, Any] = {"t_s": self._elapsed_s(), "host": self._tree.read(), "gpus": {}}
        if self._about:
            row["about"] = self._about
        if self._source is None and self._lost_s and not end:
            self._look_again(row)
        if self._source is not None:
            try:
                row["gpus"] = self._source.read()
            except SourceError as error:
                row["note"] = f"{self._source.name}: {error}"
                log.warning("telemetry: %s", row["note"])
                self._source.close()
                self._source, self._lost_s = None, time.monotonic()
        if end:
            # What the thread itself used: at most this much was taken from a job in Python.
            row |= {"end": True, "own_cpu_s": round(time.thread_time(), 4)}
        self._write(row)
        if not self._num_lost_rows:
            self._about = {}

    def _look_again(self, row: dict[str, Any]) -> None:
        if time.monotonic() - self._lost_s < RETRY_S:
            return
        self._lost_s = time.monotonic()
        self._source, _ = choose(self._ways, self._done.is_set)
        if self._source is not None:
            row["note"] = f"{self._source.name}: answers"

    def _elapsed_s(self) -> float:
        return round(time.monotonic() - self._start_s, 3)

    def _write(self, row: dict[str, Any]) -> None:
        """Append a line; a full disk loses it, and is told of once and in the next line."""
        if self._num_lost_rows:
            row = row | {"lost_rows": self._num_lost_rows}
        text = json.dumps(row, separators=(",", ":")) + "\n"
        try:
            if self._file is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                if _ends_torn(self._path):
                    # The last line was cut: it ends here.
                    text = "\n" + text
                self._file = self._path.open("a", encoding="utf-8")
            self._file.write(text)
            self._file.flush()
            self._num_lost_rows = 0
        except OSError as error:
            if not self._num_lost_rows:
                log.warning("telemetry: %s: %s; goes on", self._path, error.strerror)
            self._num_lost_rows += 1
            self._drop_file()

    def _drop_file(self) -> None:
        """Close; what a full disk left in the buffer is tried once more, and may be lost."""
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):
                file.close()

    def _close(self) -> None:
        if self._source is not None:
            self._source.close()
        self._drop_file()


def _ends_torn(path: Path) -> bool:
    if not path.exists() or not path.stat().st_size:
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"
