"""Work to PNG files, each exactly once, the same bytes on any number of ranks.

recipe.json               what all images share
images/000000123.png      appears whole; then its record appears in a manifest
manifest-<writer>.jsonl   one record an image that process put in place
manifest.parquet          one row an image, and
contact_sheet.png         once every image is there
"""

from collections.abc import Callable

from pipeline.core.metrics import Tracker
from pipeline.core.outcome import Outcome
from pipeline.core.rundir import RunDir
from pipeline.core.world import World
from pipeline.generate.claims import Claims
from pipeline.generate.conf import GenerateConfig
from pipeline.generate.draw import load_drawer
from pipeline.generate.finish import finisher_of
from pipeline.generate.ledger import Ledger
from pipeline.generate.progress import Progress
from pipeline.generate.recipe import LoraRecords, Recipe
from pipeline.generate.store import ImageStore
from pipeline.generate.summary import end_run
from pipeline.generate.turn import Draw, Turn
from pipeline.generate.work import WorkList, build_work


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
    drawer = load_drawer(cfg, device=world.device)
    return make_all(
        cfg,
        work,
        drawer,
        model_sha256=drawer.model.digest,
        loras=drawer.adapters.records,
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
    model_sha256: str,
    loras: list[LoraRecords],
    world: World,
    run_dir: RunDir,
    tracker: Tracker,
    should_stop: Callable[[], bool],
) -> Outcome:
    """Do the work with anything that draws: see ``generate``.

    Args:
        cfg: The run's settings.
        work: What to make.
        draw: From items to pixels.
        model_sha256: Digest of what draws, for the record.
        loras: Of each variant: its adapters, for the record.
        world: This process among its siblings.
        run_dir: Where everything goes.
        tracker: Where figures go.
        should_stop: Whether to save and go.
    """
    recipe = Recipe(cfg, work=work, model_sha256=model_sha256, loras=loras, run_dir=run_dir)
    recipe.hold(run_dir, batch_size=cfg.batch_size)
    ledger = Ledger(run_dir)
    ledger.refresh()
    ledger.drop_missing()
    before = ledger.num_records
    store = ImageStore(
        run_dir,
        writer=world.writer,
        describe=recipe.describe,
        finish=finisher_of(recipe.shared),
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
        progress=Progress(tracker if world.writer == 0 else None, ledger, num_asked=len(work)),
        should_stop=should_stop,
        batch_size=cfg.batch_size,
    )
    finished, whole = True, False
    with store:
        while finished and not whole:
            finished = turn.take(cfg.gates, world=world)
            ledger.refresh()
            made = ledger.num_records - before
            # Should a slow process have put an older round's file over a newer one: made anew.
            whole = ledger.drop_missing() == 0 or not world.is_main
    elapsed_s = turn.watch.elapsed_s()
    figures: dict[str, float | int | str] = {
        "num_images": len(ledger),
        "num_images_this_attempt": made,
        "position": ledger.num_records,
    }
    if made:
        # Left as they were where there was nothing to do: the next estimate reads them.
        figures["num_processes"] = world.array_size * world.world_size
        figures["rate_img_per_s"] = round(made / max(elapsed_s, 1e-9), 2)
        figures["model_time_s"] = round(turn.model_s, 3)
    if world.is_main and finished:
        figures |= end_run(
            run_dir, work, ledger=ledger, gates=cfg.gates, sheet_columns=cfg.sheet_columns
        )
        if claims is None:
            # Every image is there, so whatever else lies about was being written in a kill.
            for leftover in run_dir.images.glob(".*"):
                leftover.unlink(missing_ok=True)
        rate = made / max(elapsed_s, 1e-9)
        tracker.log(len(work), {"speed/img_per_s": rate, "speed/images_waiting": 0})
        tracker.log_image(len(work), "contact_sheet", run_dir.contact_sheet)
    return Outcome(finished=finished, figures=figures)
