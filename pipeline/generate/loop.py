"""Work to PNG files, each exactly once, the same bytes on any number of ranks.

recipe.json               what all images share
images/000000123.png      appears whole; then its record appears in a manifest
manifest-<writer>.jsonl   one record an image that process put in place
manifest.parquet          one row an image, and
contact_sheet.png         once every image is there
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from time import sleep

from torch import Tensor

from pipeline.core.errors import InputError
from pipeline.core.metrics import Tracker
from pipeline.core.outcome import Outcome
from pipeline.core.rundir import RunDir
from pipeline.core.timing import Stopwatch
from pipeline.core.world import World
from pipeline.generate.claims import Claims, dealt
from pipeline.generate.conf import GenerateConfig
from pipeline.generate.draw import Drawer
from pipeline.generate.finish import describe_finish, finisher_of
from pipeline.generate.gates import due
from pipeline.generate.ledger import Ledger
from pipeline.generate.recipe import Recipe
from pipeline.generate.store import Finish, ImageStore
from pipeline.generate.summary import end_run
from pipeline.generate.work import Batch, Item, WorkList, build_work

log = logging.getLogger(__name__)

REPORT_S = 5.0
POLL_S = 0.2
STALL_S = 600.0
"""Longer than a slow rank takes to load its model and draw a batch."""

Draw = Callable[..., Tensor]
"""``draw(items, attempt=...)`` to bytes (B, H, W, C)."""


def generate(
    cfg: GenerateConfig,
    *,
    world: World,
    run_dir: RunDir,
    tracker: Tracker,
    should_stop: Callable[[], bool],
) -> Outcome:
    """Make every image that is not there yet and belongs to this rank.

    Whole batches are dealt to ranks, or claimed by them in a job array. A batch with a missing
    image is computed whole, because its make-up is part of what makes the bytes; only what is
    missing is written. The main rank, whose word is the run's, ends when all images are there.

    Raises:
        InputError: Model, adapter or prompts are not usable.
    """
    work = build_work(cfg)
    drawer = Drawer(
        cfg.model,
        variants=[variant.loras for variant in cfg.variants] or [cfg.loras],
        sampler=cfg.sampler,
        compute=cfg.compute,
        precision=cfg.precision,
        device=world.device,
    )
    recipe = Recipe(
        cfg,
        work=work,
        model_sha256=drawer.model.digest,
        loras=drawer.adapters.records,
        post=describe_finish(cfg),
        run_dir=run_dir,
    )
    return make_all(
        cfg,
        work,
        drawer,
        recipe=recipe,
        finish=finisher_of(recipe.shared),
        world=world,
        run_dir=run_dir,
        tracker=tracker,
        should_stop=should_stop,
    )


def make_all(
    cfg: GenerateConfig,
    work: WorkList,
    draw: Draw,
    *,
    recipe: Recipe,
    finish: Finish,
    world: World,
    run_dir: RunDir,
    tracker: Tracker,
    should_stop: Callable[[], bool],
) -> Outcome:
    """Do the work with anything that draws: see ``generate``."""
    recipe.hold(run_dir, batch_size=cfg.batch_size, is_main=world.writer == 0)
    ledger = Ledger(run_dir)
    ledger.refresh()
    ledger.drop_missing()
    before = len(ledger)
    store = ImageStore(
        run_dir,
        writer=world.writer,
        describe=recipe.describe,
        finish=finish,
        num_threads=world.num_threads,
    )
    claims = None
    if world.array_size > 1:
        claims = Claims(run_dir.path / "claims", owner=f"{world.writer:05d}")
    turn = Turn(
        work,
        draw,
        store,
        ledger=ledger,
        claims=claims,
        should_stop=should_stop,
        batch_size=cfg.batch_size,
    )
    finished = True
    with store:
        for attempt in range(cfg.gates.max_redraws + 1 if cfg.gates.are_on else 1):
            asked = due(cfg.gates, range(len(work)), attempt=attempt, looks=ledger.looks)
            finished = turn.make(asked, attempt, world=world)
            store.flush()
            more = cfg.gates.are_on and attempt < cfg.gates.max_redraws
            # The next round follows from all images of this one, and the main rank's word is the
            # run's; in an array, what a dead process claimed must be taken by one that is left.
            if finished and asked and (more or world.is_main or world.array_size > 1):
                finished = turn.wait_for(asked, attempt, world=world)
            if not (finished and asked):
                break
    ledger.refresh()
    elapsed_s = turn.watch.elapsed_s()
    figures: dict[str, float | int | str] = {
        "num_images": len(ledger),
        "num_images_this_attempt": len(ledger) - before,
        "num_processes": world.array_size * world.world_size,
        "rate_img_per_s": round((len(ledger) - before) / max(elapsed_s, 1e-9), 2),
        "model_time_s": round(turn.model_s, 3),
    }
    if world.is_main and finished:
        figures |= end_run(
            run_dir, work, ledger=ledger, gates=cfg.gates, sheet_columns=cfg.sheet_columns
        )
        tracker.log(len(work), {"speed/img_per_s": float(figures["rate_img_per_s"])})
        tracker.log_image(len(work), "contact_sheet", run_dir.contact_sheet)
    return Outcome(finished=finished, figures=figures)


@dataclass
class Turn:
    """This process's part of a run: draws, hands over, and counts."""

    work: WorkList
    draw: Draw
    store: ImageStore
    ledger: Ledger = field(kw_only=True)
    claims: Claims | None = field(kw_only=True)
    should_stop: Callable[[], bool] = field(kw_only=True)
    batch_size: int = field(kw_only=True)
    watch: Stopwatch = field(default_factory=Stopwatch)
    model_s: float = 0.0

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
            if lap.elapsed_s() > REPORT_S:
                lap.lap_s()
                rate = self.store.num_written / self.watch.elapsed_s()
                log.info("batch %d of %d, %.1f img/s here", done, len(batches), rate)
        return True

    def _draw(self, batch: Batch, wanted: Sequence[int]) -> None:
        items: list[Item] = [self.work[index] for index in batch.indices]
        clock = Stopwatch()
        pixels = self.draw(items, attempt=batch.attempt)
        self.model_s += clock.elapsed_s()
        if self.claims is not None:
            self.claims.batch_time_s = max(self.claims.batch_time_s, clock.elapsed_s())
        self.store.put(batch, items, pixels, wanted=wanted)

    def _mine(self, batches: list[Batch], world: World) -> Iterator[Batch]:
        if self.claims is None:
            return dealt(batches, world)
        first = len(batches) * world.writer // (world.array_size * world.world_size)
        return self.claims.walk(batches, self._is_done, first=first)

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
            missing = len(self.ledger.missing(asked, attempt))
            if not missing:
                return True
            if self.should_stop():
                return False
            if missing != last:
                last = missing
                idle.lap_s()
            elif idle.elapsed_s() > STALL_S:
                raise InputError(
                    f"images: {missing} of {len(asked)} are missing and none appeared for "
                    f"{STALL_S:.0f} s: a rank is gone; go on with jobs.resubmit"
                )
            if self.claims is not None and not self.make(asked, attempt, world=world):
                return False
            self.store.flush()
            # Looking must not slow those who draw; a stop is heard all the same.
            pause = Stopwatch()
            pause_s = max(POLL_S, 10 * check.elapsed_s())
            while pause.elapsed_s() < pause_s and not self.should_stop():
                sleep(POLL_S)
