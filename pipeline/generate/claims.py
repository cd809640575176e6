"""Which batch is whose: dealt like cards within a job, claimed one by one over a job array.

claims/0-000000128         the batch of round 0 that begins with image 128, and who draws it
"""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from pipeline.core.world import World
from pipeline.generate.work import Batch

STALE_S = 300.0
"""Age from which a claim whose batch is not there may be taken: at least this ..."""
STALE_BATCHES = 4.0
"""... and at least so many times what a batch takes here."""


def dealt(batches: list[Batch], world: World) -> Iterator[Batch]:
    """Yield this rank's share of the batches."""
    return (batches[turn] for turn in world.deal(len(batches)))


class Claims:
    """Claims on batches, as files that only one process can make.

    A dead or slow owner's claim may be taken over once it is old. Should the owner be alive after
    all, the batch is drawn twice, to the same bytes, and counts once. Ages are told by the file
    system's own clock.
    """

    def __init__(self, folder: Path, *, owner: str, stale_s: float | None = None) -> None:
        self.folder = folder
        self.owner = owner
        self.stale_s = STALE_S if stale_s is None else stale_s
        self.batch_time_s = 0.0
        """The longest that a batch took here so far."""
        self._mine: set[str] = set()
        folder.mkdir(parents=True, exist_ok=True)
        self._probe = folder / f".clock-{owner}"

    def walk(
        self,
        batches: list[Batch],
        is_done: Callable[[Batch], bool],
        *,
        refresh: Callable[[], None],
        first: int,
    ) -> Iterator[Batch]:
        """Yield batches that are this process's to draw, until none is left to claim.

        Begins at ``first`` so that many owners do not queue at the same files, then takes what is
        left, and last what others claimed long ago and did not finish.

        Args:
            batches: All there are.
            is_done: Whether a batch is there, as far as is known.
            refresh: Learn what others have done since.
            first: Position to begin at.
        """
        order = batches[first % max(1, len(batches)) :] + batches[: first % max(1, len(batches))]
        for batch in order:
            if not is_done(batch) and self._claim(batch):
                yield batch
        refresh()
        for batch in order:
            if is_done(batch) or not self._is_old(batch):
                continue
            # Drawing takes long: much may have been finished since the last look.
            refresh()
            if not is_done(batch) and self._take_over(batch):
                yield batch

    def _claim(self, batch: Batch) -> bool:
        path = self.folder / batch.name
        try:
            fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            # One that this very process made before it was killed and started again is its own.
            if batch.name in self._mine or not self._owns(path):
                return False
        else:
            with os.fdopen(fd, "w") as file:
                file.write(self.owner)
        self._mine.add(batch.name)
        return True

    def _owns(self, path: Path) -> bool:
        with suppress(FileNotFoundError):
            return path.read_text() == self.owner
        return False

    def _is_old(self, batch: Batch) -> bool:
        if batch.name in self._mine:
            return False
        with suppress(FileNotFoundError):
            age_s = self._now_s() - (self.folder / batch.name).stat().st_mtime
            return age_s >= self._patience_s()
        return True

    def _take_over(self, batch: Batch) -> bool:
        with suppress(FileNotFoundError):
            # Of several that find it old at once, one may move away what another has just claimed:
            # then both draw it, which costs time and nothing else.
            (self.folder / batch.name).rename(self.folder / f".stale-{batch.name}-{self.owner}")
        return self._claim(batch)

    def _patience_s(self) -> float:
        return max(self.stale_s, STALE_BATCHES * self.batch_time_s)

    def _now_s(self) -> float:
        self._probe.touch()
        return self._probe.stat().st_mtime
