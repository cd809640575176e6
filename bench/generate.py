"""A whole run end to end, against a plain diffusers loop and against the bare network.

Ours: text, noise, sampling, finishing, PNG files and manifest, in batches. Plain: the pipeline's
own call, one prompt a call, and ``save``. Bare: nothing but the network calls of our batches, on
tensors that stand there already. Same model, prompts, steps and guidance; rounds of all three
alternate in one process.
"""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from bench.conf import BenchConfig
from bench.record import Row, row
from bench.trainstep import settle
from bench.turns import ShouldStop, turns
from pipeline.core.metrics import NullTracker
from pipeline.core.rundir import RunDir
from pipeline.core.timing import Stopwatch
from pipeline.core.world import World
from pipeline.generate.conf import GenerateConfig
from pipeline.generate.draw import Drawer, load_drawer
from pipeline.generate.loop import make_all
from pipeline.generate.sample import DTYPES
from pipeline.generate.work import build_work

PROMPTS = ("orc warrior", "ruby potion", "long sword", "green dragon")


def generation(cfg: BenchConfig, *, batch_size: int) -> GenerateConfig:
    """Return the settings of a run of about ``num_images``, whole batches."""
    return GenerateConfig(
        model=cfg.model,
        sampler=cfg.sampler,
        prompts=list(PROMPTS),
        num_seeds=max(1, cfg.num_images // len(PROMPTS)),
        batch_size=batch_size,
        precision=cfg.precision,
    )


def measure_run(
    cfg: BenchConfig, world: World, should_stop: ShouldStop
) -> tuple[list[Row], list[str]]:
    """Return the rates of ours, plain and bare at the largest batch size, and a sentence."""
    run = generation(cfg, batch_size=cfg.batch_sizes[-1])
    drawer = load_drawer(run, device=world.device)
    num_images = len(build_work(run))
    ways: dict[str, Callable[[Path], None]] = {
        "plain": partial(plain, run, drawer, world.device),
        "ours": partial(ours, run, drawer, world),
        "bare": lambda _: bare(run, drawer, num_calls=-(-num_images // run.batch_size)),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as folder:
        for turn, counts in turns(cfg, should_stop):
            for name, way in ways.items():
                watch = Stopwatch()
                way(Path(folder) / f"{name}{turn}")
                settle(world.device)
                if counts:
                    rates[name].append(num_images / watch.elapsed_s())
    bound = row("run.bare", rates["bare"], unit="img/s", warmup=cfg.warmup)
    rows = [bound] + [
        row(
            f"run.{name}",
            rates[name],
            unit="img/s",
            warmup=cfg.warmup,
            ceiling=bound.median,
            ceiling_is="the network calls of our batches alone",
        )
        for name in ("plain", "ours")
    ]
    gain = (rows[2].median or 0) / (rows[1].median or 1)
    return rows, [
        f"a run makes {rows[2].median} sprites a second: {gain:.2f} times a plain diffusers loop, "
        f"{rows[2].fraction} of the bare network"
    ]


def autocast(drawer: Drawer) -> torch.autocast:
    """Return the arithmetic that ours draws with."""
    kind = drawer.device.partition(":")[0]
    dtype = DTYPES.get(drawer.precision)
    return torch.autocast(kind, dtype=dtype, enabled=dtype is not None)


def ours(cfg: GenerateConfig, drawer: Drawer, world: World, folder: Path) -> None:
    """Make the whole run."""
    outcome = make_all(
        cfg,
        build_work(cfg),
        drawer,
        model_sha256=drawer.model.digest,
        loras=[[]],
        world=world,
        run_dir=RunDir(folder),
        tracker=NullTracker(),
        should_stop=lambda: False,
    )
    assert outcome.finished


def plain(cfg: GenerateConfig, drawer: Drawer, device: str, folder: Path) -> None:
    """Call the pipeline prompt by prompt."""
    folder.mkdir()
    generator = torch.Generator(device=device).manual_seed(0)
    for index, item in enumerate(build_work(cfg)):
        with autocast(drawer):
            (image,) = drawer.model.pipeline(
                item.prompt,
                num_inference_steps=cfg.sampler.num_steps,
                guidance_scale=cfg.sampler.guidance_scale,
                generator=generator,
            )
        image.save(folder / f"{index}.png")


@torch.inference_mode()
def bare(cfg: GenerateConfig, drawer: Drawer, *, num_calls: int) -> None:
    """Call the network as often and on as much as so many batches do."""
    model = drawer.model
    rows = cfg.batch_size * (2 if cfg.sampler.guidance_scale > 1 else 1)
    x_BCHW = torch.randn(rows, *model.latent_shape).to(model.pipeline.unet.device)
    conditioning = drawer.text.conditioning([PROMPTS[0]] * rows, [])
    timesteps_B = torch.full((rows,), 500, device=x_BCHW.device)
    with autocast(drawer):
        for _ in range(num_calls * cfg.sampler.num_steps):
            model.family.predict(model.pipeline.unet, x_BCHW, timesteps_B, conditioning)
