"""Ten fixed pictures by the engine of ``jobs.generate``, checked and timed.

What is drawn is fixed here, so that everybody draws the same: prompts, seed, sampler, one picture a
call, float32, one CPU thread.
"""

import dataclasses
import resource
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from pipeline.core.errors import InputError
from pipeline.core.files import read_json, write_json
from pipeline.core.metrics import Tracker
from pipeline.core.picture import load_picture
from pipeline.core.rundir import RunDir
from pipeline.core.timing import Stopwatch
from pipeline.core.world import World
from pipeline.generate.conf import GenerateConfig, SamplerConfig, SamplerName
from pipeline.generate.draw import load_drawer
from pipeline.generate.loop import make_all
from pipeline.generate.summary import read_records
from pipeline.generate.turn import Draw
from pipeline.generate.work import Item, build_work
from pipeline.models.conf import ModelConfig
from repro.environment import Environment
from repro.record import FORMAT

PROMPTS = (
    "orc warrior",
    "green dragon",
    "skeleton",
    "floating eye",
    "tree",
    "ruby potion",
    "red spell book",
    "gold coins",
    "long sword",
    "kite shield",
)
SEED = 0
NUM_THREADS = 1
"""CPU threads. 1, 2 and 4 drew the same here, 3 moved one byte of one picture."""
MIB = 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """One picture and what made it."""

    file: str
    prompt: str
    seed: int
    noise_index: int
    pixels_sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Smoke:
    """What came out of the ten pictures."""

    settings: dict[str, Any]
    """All that is fixed."""
    weights_sha256: str
    device: str
    """``cpu`` or ``cuda``."""
    pictures: tuple[Picture, ...]
    pixels: tuple[UInt8[np.ndarray, "H W 4"], ...] = field(repr=False)
    latency_s: tuple[float, ...]
    """Prompt to pixels on the host, a picture, after one that is not counted; of this attempt."""
    rate_img_per_s: float | None
    """End to end, files included; None: they were there already."""
    peak_memory_mib: float
    peak_memory_of: str
    """What that is the peak of."""


def smoke_config(model: ModelConfig, **changes: Any) -> GenerateConfig:
    """Return the fixed work; ``changes`` are for tests of what a change is found by."""
    fixed: dict[str, Any] = {
        "model": model,
        "prompts": list(PROMPTS),
        "seed": SEED,
        "sampler": SamplerConfig(name=SamplerName.ddim, num_steps=25, guidance_scale=3.0),
        "batch_size": 1,
        "sheet_columns": 5,
    }
    return GenerateConfig(**fixed | changes)


def run_smoke(
    cfg: GenerateConfig,
    *,
    world: World,
    run_dir: RunDir,
    tracker: Tracker,
    should_stop: Callable[[], bool],
) -> Smoke | None:
    """Draw, put in place and measure; None when told to stop.

    Raises:
        InputError: The model is not usable, or there is more than one process.
    """
    if world.world_size > 1:
        raise InputError(
            f"cluster.tasks_per_node: the smoke test is 1 process, not {world.world_size}"
        )
    with _threads(NUM_THREADS):
        drawer = load_drawer(cfg, device=world.device)
        work = build_work(cfg)
        timed = TimedDraw(drawer, device=world.device)
        timed.warm_up(work[0])
        outcome = make_all(
            cfg,
            work,
            timed,
            model_sha256=drawer.model.digest,
            loras=drawer.adapters.records,
            world=world,
            run_dir=run_dir,
            tracker=tracker,
            should_stop=should_stop,
        )
    if not outcome.finished:
        return None
    pictures = tuple(_pictures(run_dir))
    rate = outcome.figures.get("rate_img_per_s") if len(timed.latency_s) == len(work) else None
    peak_mib, peak_of = peak_memory(world.device)
    return Smoke(
        settings=_settings(cfg),
        weights_sha256=drawer.model.digest,
        device=world.device.partition(":")[0],
        pictures=pictures,
        pixels=tuple(read_pixels(run_dir.images / picture.file) for picture in pictures),
        latency_s=tuple(round(latency, 6) for latency in timed.latency_s),
        rate_img_per_s=None if rate is None else float(rate),
        peak_memory_mib=peak_mib,
        peak_memory_of=peak_of,
    )


class TimedDraw:
    """Draws by another, and keeps how long each picture took until it could be read."""

    def __init__(self, draw: Draw, *, device: str) -> None:
        self.draw, self.device = draw, device
        self.latency_s: list[float] = []

    def warm_up(self, item: Item) -> None:
        """Draw once without counting; what memory peaks at is counted from here."""
        self.draw([item], attempt=0)
        if self.device.startswith("cuda"):
            torch.cuda.synchronize(self.device)
            torch.cuda.reset_peak_memory_stats(self.device)

    def __call__(self, items: Sequence[Item], *, attempt: int) -> Tensor:
        """Draw; every picture of a batch took as long as the batch."""
        watch = Stopwatch()
        pixels = self.draw(items, attempt=attempt)
        if self.device.startswith("cuda"):
            # The GPU is asked and not waited for: without this, only the asking is timed.
            torch.cuda.synchronize(self.device)
        self.latency_s += [watch.elapsed_s()] * len(items)
        return pixels


def peak_memory(device: str) -> tuple[float, str]:
    """Return MiB and what they are of: torch's on a GPU, the whole process's on a CPU."""
    if device.startswith("cuda"):
        peak = torch.cuda.max_memory_allocated(device)
        return round(peak / MIB, 1), "GPU memory allocated by torch"
    # KiB on Linux (getrusage(2)).
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / MIB, 1), "resident memory of the process"


def read_pixels(file: Path) -> UInt8[np.ndarray, "H W 4"]:
    """Return a picture's RGBA bytes.

    Raises:
        InputError: It is missing or not a picture.
    """
    try:
        return np.asarray(load_picture(file).convert("RGBA"))
    except OSError as error:
        raise InputError(f"{file}: not a readable picture ({error})") from None


def write_smoke(
    path: Path, smoke: Smoke, *, environment: Environment, checked: dict[str, Any]
) -> dict[str, Any]:
    """Write the record of a run; return it as it is read."""
    told = {
        "format": FORMAT,
        "environment": dataclasses.asdict(environment),
        "checked": checked,
        "settings": smoke.settings,
        "weights_sha256": smoke.weights_sha256,
        "device": smoke.device,
        "pictures": [dataclasses.asdict(picture) for picture in smoke.pictures],
        "speed": {
            "rate_img_per_s": smoke.rate_img_per_s,
            "latency_p95_s": p95_s(smoke.latency_s),
            "latency_s": list(smoke.latency_s),
        },
        "peak_memory_mib": smoke.peak_memory_mib,
        "peak_memory_of": smoke.peak_memory_of,
    }
    write_json(path, told)
    return read_json(path)


def p95_s(latency_s: Sequence[float]) -> float | None:
    """Return what 95 % of the pictures take at most, between the two nearest; None of none."""
    return round(float(np.quantile(latency_s, 0.95)), 6) if latency_s else None


def _pictures(run_dir: RunDir) -> Iterator[Picture]:
    for record in read_records(run_dir):
        yield Picture(**{each.name: record[each.name] for each in dataclasses.fields(Picture)})


def _settings(cfg: GenerateConfig) -> dict[str, Any]:
    return {
        "prompts": list(cfg.prompts),
        "seed": cfg.seed,
        "sampler": cfg.sampler.name.value,
        "num_steps": cfg.sampler.num_steps,
        "guidance_scale": cfg.sampler.guidance_scale,
        "batch_size": cfg.batch_size,
        "precision": cfg.precision.value,
        "num_threads": NUM_THREADS,
    }


@contextmanager
def _threads(number: int) -> Iterator[None]:
    """Hold torch's threads fast; as they were afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
