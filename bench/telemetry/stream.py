"""A tool that prints a line now and then, read in the background; its newest rows are at hand."""

import shutil
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

Rows = dict[str, dict[str, float]]
"""From a GPU's name to its values by ``Field.name``."""
ShouldStop = Callable[[], bool]
"""Whether whoever asked is gone: a job that ends waits for no probe."""

FIRST_ROW_S = 8.0
"""How long a tool may take to print a first row."""
END_S = 2.0
POLL_S = 0.05


class SourceError(Exception):
    """A source does not answer, or no longer; the message says why in a few words."""


def never() -> bool:
    """Wait as long as it takes."""
    return False


class ToolStream:
    """Runs a command and parses its lines.

    Args:
        command: What to run.
        parse: From a line to a GPU's name and values; None for headers and half lines.
        interval_s: How often it prints.
        should_stop: Whether to wait for a first row no longer.

    Raises:
        SourceError: It cannot be run, or prints no row in ``FIRST_ROW_S``.
    """

    def __init__(
        self,
        command: Sequence[str],
        parse: Callable[[str], tuple[str, dict[str, float]] | None],
        *,
        interval_s: float,
        should_stop: ShouldStop = never,
    ) -> None:
        self._parse = parse
        self._stale_s = 3 * interval_s + FIRST_ROW_S
        self._newest: dict[str, tuple[float, dict[str, float]]] = {}
        self._said: deque[str] = deque(maxlen=3)
        if shutil.which(command[0]) is None:
            raise SourceError(f"{command[0]}: not found")
        # Into a pipe a tool may keep its lines until a block of them is full.
        line_by_line = ["stdbuf", "-oL"] if shutil.which("stdbuf") else []
        try:
            # A session of its own: Ctrl-C is the job's. Left behind by a killed job, it ends at
            # its next line, which nobody reads.
            self._process = subprocess.Popen(
                [*line_by_line, *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
        except OSError as error:
            raise SourceError(f"{command[0]}: {error.strerror}") from None
        self._reader = threading.Thread(target=self._follow, name="telemetry-tool", daemon=True)
        self._reader.start()
        self._wait_for_first(interval_s, should_stop)

    def read(self) -> Rows:
        """Return the newest values of every GPU.

        Raises:
            SourceError: The tool ended, or has not printed for long.
        """
        if self._process.poll() is not None:
            raise SourceError(f"ended with status {self._process.returncode}{self._last_words()}")
        after_s = time.monotonic() - self._stale_s
        # A copy: the reader may add a GPU meanwhile.
        rows = {gpu: values for gpu, (at_s, values) in dict(self._newest).items() if at_s > after_s}
        if not rows:
            raise SourceError(f"printed nothing for {self._stale_s:.0f} s")
        return rows

    def close(self) -> None:
        """End the tool."""
        self._process.terminate()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(END_S)
        self._reader.join(END_S)

    def _follow(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                found = self._parse(line)
                if found is not None:
                    gpu, values = found
                    self._newest[gpu] = (time.monotonic(), values)
                elif line.strip():
                    self._said.append(line.strip())

    def _wait_for_first(self, interval_s: float, should_stop: ShouldStop) -> None:
        end_s = time.monotonic() + FIRST_ROW_S + interval_s
        while not self._newest:
            ended = self._process.poll() is not None
            if ended or should_stop() or time.monotonic() > end_s:
                said = self._last_words()
                self.close()
                raise SourceError(f"gave no row{said}")
            time.sleep(POLL_S)

    def _last_words(self) -> str:
        return f" ({self._said[-1][:120]})" if self._said else ""


def run_tool(command: Sequence[str], *, limit_s: float = FIRST_ROW_S) -> str:
    """Return what a command printed.

    Raises:
        SourceError: It cannot be run, fails, or takes longer than ``limit_s``.
    """
    try:
        done = subprocess.run(
            list(command), capture_output=True, text=True, timeout=limit_s, check=False
        )
    except subprocess.TimeoutExpired:
        raise SourceError(f"{command[0]}: no answer in {limit_s:.0f} s") from None
    except OSError as error:
        raise SourceError(f"{command[0]}: {error.strerror}") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["no word"]
        raise SourceError(f"{command[0]}: {said[-1][:120]}")
    return done.stdout
