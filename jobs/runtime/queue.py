"""Runs that wait for workers: a folder of small files beside the runs, and who takes what.

runs/queue/generate.tiles32.ID.json       one run, from its submission until every image is there
runs/queue/generate.tiles32.ID.place-3    locked by the worker that has this place
runs/queue/generate.tiles32.ID.failures   a line each time a worker failed at it

A worker is one process that takes a free place in a run's job array and draws batches until the
run is whole (see pipeline.generate.claims). Nothing here decides who gets a machine: workers are
started by whoever has some, such as KEDA, and take runs in the order they were submitted.
"""

import datetime
import fcntl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from jobs.runtime.record import FINISHED
from pipeline.core.errors import InputError
from pipeline.core.files import read_json, write_json
from pipeline.core.rundir import RunDir

FORMAT = "dgx-pixels-queued/1"
FOLDER = "queue"
MAX_FAILURES = 3
"""Failures after which workers leave a run alone: what is wrong with it will not mend itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Queued:
    """One run that waits, or is worked on."""

    file: Path
    run_dir: RunDir
    array: int
    """Places for workers."""
    num_images: int
    submitted: str

    @property
    def name(self) -> str:
        """``<name>/<run_id>``."""
        return "/".join(self.run_dir.path.parts[-2:])

    @property
    def is_finished(self) -> bool:
        """Whether every image is there."""
        path = self.run_dir.run_json
        return path.is_file() and read_json(path)["status"] == FINISHED

    @property
    def num_left(self) -> int:
        """Images that are not there; at least 1 while the run is not finished."""
        made = sum(1 for _ in self.run_dir.images.glob("[0-9]*.png"))
        return max(1, self.num_images - made)

    @property
    def failures(self) -> list[str]:
        """A line for each failure, the first one first."""
        path = self.file.with_suffix(".failures")
        return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []

    @property
    def is_given_up(self) -> bool:
        """Whether it failed too often."""
        return len(self.failures) >= MAX_FAILURES

    def fail(self, line: str) -> None:
        """Note a failure."""
        with self.file.with_suffix(".failures").open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    @property
    def num_workers(self) -> int:
        """Places that a worker holds now."""
        return sum(_is_held(self._place(number)) for number in range(self.array))

    def take_place(self) -> tuple[int, IO[str]] | None:
        """Take the first free place.

        Returns:
            Its number and the open file that is the lock, which dies with its holder; None: all
            are taken.
        """
        for number in range(self.array):
            file = self._place(number).open("a", encoding="utf-8")
            if _lock(file, fcntl.LOCK_EX):
                return number, file
            file.close()
        return None

    def leave(self) -> None:
        """Take it out of the queue."""
        places = [self._place(number) for number in range(self.array)]
        for file in (self.file, self.file.with_suffix(".failures"), *places):
            file.unlink(missing_ok=True)

    def _place(self, number: int) -> Path:
        return self.file.with_suffix(f".place-{number}")


def put(run_dir: RunDir, *, array: int, num_images: int) -> Path:
    """Put a frozen run into its queue, or back into it with a clean slate; return its file.

    Args:
        run_dir: ``runs/<job>/<name>/<run_id>``.
        array: Workers it takes at most.
        num_images: Images it is to have.
    """
    runs_dir = run_dir.path.parents[2]
    file = runs_dir / FOLDER / f"{'.'.join(run_dir.path.parts[-3:])}.json"
    now = datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="milliseconds")
    told: dict[str, Any] = {
        "format": FORMAT,
        "run": "/".join(run_dir.path.parts[-3:]),
        "array": array,
        "num_images": num_images,
        "submitted": now,
    }
    file.with_suffix(".failures").unlink(missing_ok=True)
    write_json(file, told)
    return file


def read_queue(runs_dir: Path) -> list[Queued]:
    """Return the runs that are not finished, oldest submission first.

    Raises:
        InputError: There is no such folder of runs, or a file is not of this format.
    """
    if not runs_dir.is_dir():
        raise InputError(f"{runs_dir}: no such folder of runs")
    found = [each for each in _read(runs_dir) if not each.is_finished]
    return sorted(found, key=lambda each: (each.submitted, each.name))


def _read(runs_dir: Path) -> Iterator[Queued]:
    for file in sorted((runs_dir / FOLDER).glob("*.json")):
        try:
            told = read_json(file)
        except InputError:
            if not file.exists():
                continue  # whole meanwhile
            raise
        try:
            if told["format"] != FORMAT:
                raise InputError(f"{file}: format: {told['format']!r}; allowed: {FORMAT!r}")
            yield Queued(
                file=file,
                run_dir=RunDir((runs_dir / told["run"]).absolute()),
                array=int(told["array"]),
                num_images=int(told["num_images"]),
                submitted=str(told["submitted"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{file}: not an entry of the queue ({error})") from None


def _is_held(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("a", encoding="utf-8") as file:
        # Let go at once. A worker that looks in between takes the next place, or comes again.
        return not _lock(file, fcntl.LOCK_SH)


def _lock(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
