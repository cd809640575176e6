"""Prompts x seeds to PNG files, each exactly once, the same bytes on any number of ranks.

images/000000123.png      appears whole; then its record appears in the manifest
manifest-<rank>.jsonl     one record an image this rank put in place
contact_sheet.png         once every image is there
"""

import logging
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from time import sleep
from typing import Any

from PIL import Image

from pipeline.core.errors import InputError
from pipeline.core.files import sha256_bytes, sha256_file, write_atomic
from pipeline.core.manifest import ManifestWriter, read_manifest
from pipeline.core.metrics import Tracker
from pipeline.core.outcome import Outcome
from pipeline.core.rundir import RunDir
from pipeline.core.sheet import contact_sheet
from pipeline.core.timing import Stopwatch
from pipeline.core.world import World
from pipeline.generate.conf import GenerateConfig
from pipeline.generate.png import encode
from pipeline.generate.prompts import Item, build_work, cut_batches
from pipeline.generate.sample import Pixels, sample_pixels
from pipeline.models import lora
from pipeline.models.protocol import LoadedModel
from pipeline.models.registry import load_model

log = logging.getLogger(__name__)

SHEET_IMAGES = 256
REPORT_S = 5.0
POLL_S = 0.2
STALL_S = 600.0
"""Longer than a slow rank takes to load its model and draw a batch."""


def generate(
    cfg: GenerateConfig,
    *,
    world: World,
    run_dir: RunDir,
    tracker: Tracker,
    should_stop: Callable[[], bool],
) -> Outcome:
    """Make every image that is not there yet and belongs to this rank.

    Whole batches are dealt to ranks. A batch with a missing image is computed whole, because its
    make-up is part of what makes the bytes; only what is missing is written. The main rank, whose
    word is the run's, ends when all ranks' images are there.

    Raises:
        InputError: Model, adapter or prompts are not usable.
    """
    work = build_work(cfg)
    model = load_model(cfg.model, device=world.device)
    loras = lora.apply(model, cfg.loras)
    common = _common(cfg, model, loras)
    done = finished_images(run_dir)
    _check_same(run_dir, work, common)
    batches = cut_batches(work, cfg.batch_size)
    mine = [batches[i] for i in world.deal(len(batches))]
    missing = [batch for batch in mine if any(item.index not in done for item in batch)]
    log.info("%d images, %d of this rank's %d batches to do", len(work), len(missing), len(mine))
    manifest = ManifestWriter(run_dir.manifest(world.rank))
    watch, model_watch, lap = Stopwatch(), Stopwatch(), Stopwatch()
    model_s, made = 0.0, 0
    stopped = False
    for position, batch in enumerate(missing):
        if stopped := should_stop():
            break
        model_watch.lap_s()
        images = _draw(cfg, model, batch, world=world)
        model_s += model_watch.lap_s()
        for item, pixels in zip(batch, images, strict=True):
            if item.index not in done:
                manifest.append(_place(run_dir, item, pixels, common))
                made += 1
        if lap.elapsed_s() > REPORT_S or position + 1 == len(missing):
            lap.lap_s()
            log.info(
                "%d of %d batches, %.1f img/s", position + 1, len(missing), made / watch.elapsed_s()
            )
    manifest.close()
    if world.is_main and not stopped:
        stopped = not _wait_for_all(run_dir, len(work), should_stop)
    elapsed_s = watch.elapsed_s()
    now_there = finished_images(run_dir)
    figures: dict[str, float | int | str] = {
        "num_images": len(now_there),
        "num_images_this_attempt": len(now_there - done),
        "rate_img_per_s": round(len(now_there - done) / max(elapsed_s, 1e-9), 2),
        "model_time_s": round(model_s, 3),
    }
    if world.is_main and not stopped:
        sheet = _write_sheet(cfg, run_dir, num_images=len(work))
        tracker.log(len(work), {"speed/img_per_s": float(figures["rate_img_per_s"])})
        tracker.log_image(len(work), "contact_sheet", sheet)
    return Outcome(finished=not stopped, figures=figures)


def _wait_for_all(run_dir: RunDir, num_images: int, should_stop: Callable[[], bool]) -> bool:
    """Wait until every rank's images are there; False when told to stop before.

    Raises:
        InputError: No image appeared for so long that a rank must be gone.
    """
    count, idle, check = -1, Stopwatch(), Stopwatch()
    while True:
        check.lap_s()
        there = len(finished_images(run_dir))
        if there >= num_images:
            return True
        if should_stop():
            return False
        if there > count:
            count = there
            idle.lap_s()
        elif idle.elapsed_s() > STALL_S:
            raise InputError(
                f"images: {num_images - there} of {num_images} are missing and none appeared for "
                f"{STALL_S:.0f} s: a rank is gone; go on with jobs.resubmit"
            )
        # Looking must not slow those who draw; a stop is heard all the same.
        pause = Stopwatch()
        pause_s = max(POLL_S, 10 * check.elapsed_s())
        while pause.elapsed_s() < pause_s and not should_stop():
            sleep(POLL_S)


def finished_images(run_dir: RunDir) -> set[int]:
    """Return the indices whose record and file are both there and fit each other."""
    done = set()
    for path in sorted(run_dir.path.glob("manifest-*.jsonl")):
        for record in read_manifest(path):
            file = run_dir.images / record["file"]
            if file.is_file() and sha256_file(file) == record["sha256"]:
                done.add(int(record["index"]))
    return done


def _check_same(run_dir: RunDir, work: list[Item], common: dict[str, Any]) -> None:
    """Refuse to go on with a run whose images something else made.

    Raises:
        InputError: Naming the image and the field.
    """
    for path in sorted(run_dir.path.glob("manifest-*.jsonl")):
        for record in read_manifest(path):
            index = int(record["index"])
            if index >= len(work):
                raise InputError(f"prompts: {path} has image {index}, now there are {len(work)}")
            item = work[index]
            now = common | {"prompt": item.prompt, "seed_number": item.seed_number}
            for key, value in now.items():
                if record.get(key) != value:
                    raise InputError(
                        f"{key}: image {index} of {run_dir.path.name} was made with "
                        f"{record.get(key)!r}, now it is {value!r}; restore it or start a new run"
                    )


def reduce_scale(images: Pixels, scale: int) -> Pixels:
    """Reduce by an integer, nearest neighbour: the pixel in the middle of each cell is kept."""
    middle = scale // 2
    reduced: Pixels = images[:, middle::scale, middle::scale]
    return reduced


def _draw(cfg: GenerateConfig, model: LoadedModel, batch: list[Item], *, world: World) -> Pixels:
    images = sample_pixels(
        model,
        prompts=[item.prompt for item in batch],
        indices=[item.index for item in batch],
        run_seed=cfg.seed,
        sampler=cfg.sampler,
        device=world.device,
        precision=cfg.precision,
    )
    return reduce_scale(images, cfg.pixel_scale)


def _common(
    cfg: GenerateConfig, model: LoadedModel, loras: list[dict[str, str | float]]
) -> dict[str, Any]:
    return {
        "format": "dgx-pixels-image/1",
        "model": {"family": model.family_name.value, "sha256": model.digest},
        "loras": loras,
        "sampler": cfg.sampler.name.value,
        "num_steps": cfg.sampler.num_steps,
        "guidance_scale": cfg.sampler.guidance_scale,
        "guidance_interval": [cfg.sampler.guidance_low, cfg.sampler.guidance_high],
        "run_seed": cfg.seed,
        "batch_size": cfg.batch_size,
        "pixel_scale": cfg.pixel_scale,
        "precision": cfg.precision.value,
    }


def _place(run_dir: RunDir, item: Item, pixels: Pixels, common: dict[str, Any]) -> dict[str, Any]:
    height, width = pixels.shape[:2]
    told = common | {
        "index": item.index,
        "prompt": item.prompt,
        "seed_number": item.seed_number,
        "width_px": width,
        "height_px": height,
    }
    data = encode(pixels, told)
    name = f"{item.index:09d}.png"
    write_atomic(run_dir.images / name, data)
    return told | {"file": name, "sha256": sha256_bytes(data)}


def _write_sheet(cfg: GenerateConfig, run_dir: RunDir, *, num_images: int) -> Path:
    sheet = run_dir.path / "contact_sheet.png"
    files = [run_dir.images / f"{index:09d}.png" for index in range(min(num_images, SHEET_IMAGES))]
    buffer = BytesIO()
    contact_sheet([_open(file) for file in files], columns=cfg.sheet_columns).save(
        buffer, format="PNG"
    )
    write_atomic(sheet, buffer.getvalue())
    log.info("contact sheet: %s", sheet)
    return sheet


def _open(file: Path) -> Image.Image:
    with Image.open(file) as image:
        return image.copy()
