"""One process's part of a run: which batches, drawn, handed over, and waited for."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from time import sleep

from torch import Tensor

from pipeline.core.errors import InputError
from pipeline.core.timing import Stopwatch
from pipeline.core.world import World
from pipeline.generate.claims import Claims, dealt
from pipeline.generate.conf import GateConfig
from pipeline.generate.gates import due
from pipeline.generate.ledger import Ledger
from pipeline.generate.progress import REPORT_S, Progress
from pipeline.generate.store import ImageStore
from pipeline.generate.work import Batch, Item, WorkList

log = logging.getLogger(__name__)

POLL_S = 0.2
STALL_S = 600.0
"""Longer than a slow rank takes to load its model and draw a batch ..."""
STALL_BATCHES = 8.0
"""... and than it takes until a claim may be taken over and drawn, in batches."""

Draw = Callable[..., Tensor]
"""``draw(items, attempt=...)`` to bytes (B, H, W, C)."""


@dataclass
class Turn:
    """Draws, hands over, waits and counts."""

    work: WorkList
    draw: Draw
    store: ImageStore
    ledger: Ledger = field(kw_only=True)
    claims: Claims | None = field(kw_only=True)
    progress: Progress = field(kw_only=True)
    should_stop: Callable[[], bool] = field(kw_only=True)
    batch_size: int = field(kw_only=True)
    watch: Stopwatch = field(default_factory=Stopwatch)
    model_s: float = 0.0
    batch_time_s: float = 0.0
    """The longest that a batch took here."""

    def take(self, gates: GateConfig, *, world: World) -> bool:
        """Do this process's part of every round; False when told to stop."""
        last = gates.max_redraws if gates.are_on else 0
        for attempt in range(last + 1):
            looks = self.ledger.looks
            asked = due(gates, range(len(self.work)), attempt=attempt, looks=looks)
            if not asked:
                break
            finished = self.make(asked, attempt, world=world)
            self.store.flush()
            # The next round follows from all images of this one, and the main rank's word is the
            # run's; in an array, what a dead process claimed must be taken by one that is left.
            waits = attempt < last or world.is_main or world.array_size > 1
            if not finished or (waits and not self.wait_for(asked, attempt, world=world)):
                return False
        return True

    def make(self, asked: Sequence[int], attempt: int, *, world: World) -> bool:
        """Draw this process's share of a round; False when told to stop."""
        batches = self.work.cut(asked, batch_size=self.batch_size, attempt=attempt)
        lap = Stopwatch()
        for done, batch in enumerate(self._mine(batches, world), start=1):
            if self.should_stop():
                return False
            wanted = self.ledger.missing(batch.indices, attempt)
            if wanted:
                self._draw(batch, wanted)
            self.progress.tell()
            if lap.elapsed_s() > REPORT_S:
                lap.lap_s()
                rate = self.store.num_written / self.watch.elapsed_s()
                log.info("%d batches of %d made here, %.1f img/s", done, len(batches), rate)
        return True

    def _draw(self, batch: Batch, wanted: Sequence[int]) -> None:
        items: list[Item] = [self.work[index] for index in batch.indices]
        clock = Stopwatch()
        pixels = self.draw(items, attempt=batch.attempt)
        self.model_s += clock.elapsed_s()
        self.batch_time_s = max(self.batch_time_s, clock.elapsed_s())
        if self.claims is not None:
            self.claims.batch_time_s = self.batch_time_s
            # Another may have been given this batch meanwhile, and the next round may have begun:
            # what is recorded is not written again.
            self.ledger.refresh()
            wanted = self.ledger.missing(wanted, batch.attempt)
        if wanted:
            self.store.put(batch, items, pixels, wanted=wanted)
        # With the wait for a place in the store's queue: what an image costs when all is busy.
        self.progress.drew(len(items), clock.elapsed_s())

    def _mine(self, batches: list[Batch], world: World) -> Iterator[Batch]:
        if self.claims is None:
            return dealt(batches, world)
        first = len(batches) * world.writer // (world.array_size * world.world_size)
        return self.claims.walk(batches, self._is_done, refresh=self.ledger.refresh, first=first)

    def _is_done(self, batch: Batch) -> bool:
        return not self.ledger.missing(batch.indices, batch.attempt)

    def wait_for(self, asked: Sequence[int], attempt: int, *, world: World) -> bool:
        """Wait until a round is whole, whoever makes it; False when told to stop before.

        Raises:
            InputError: No image appeared for so long that a rank must be gone.
        """
        idle, check = Stopwatch(), Stopwatch()
        last = -1
        while True:
            check.lap_s()
            self.ledger.refresh()
            self.progress.tell()
            missing = len(self.ledger.missing(asked, attempt))
            looked_s = check.elapsed_s()
            if not missing:
                return True
            if self.should_stop():
                return False
            if missing != last:
                last = missing
                idle.lap_s()
            elif idle.elapsed_s() > max(STALL_S, STALL_BATCHES * self.batch_time_s):
                raise InputError(
                    f"images: {missing} of {len(asked)} are missing and none appeared for "
                    f"{idle.elapsed_s():.0f} s: a rank is gone; go on with jobs.resubmit"
                )
            if self.claims is not None and not self.make(asked, attempt, world=world):
                return False
            self.store.flush()
            # Looking must not slow those who draw; a stop is heard all the same.
            pause = Stopwatch()
            pause_s = max(POLL_S, 10 * looked_s)
            while pause.elapsed_s() < pause_s and not self.should_stop():
                sleep(POLL_S)
