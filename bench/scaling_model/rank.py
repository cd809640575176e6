"""One rank of the check: what a step, an all_reduce and a run of generation take here.

Started by ``measure`` under ``torch.distributed.run``, which tells each rank its place. The main
rank writes what it saw beside its settings.
"""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from bench.conf import BenchConfig, BenchName
from bench.generate import generation
from bench.scaling_model.measure import WARMUP, Settings
from bench.scaling_model.predict import buckets
from bench.trainstep import build
from pipeline.core.files import read_json, write_json
from pipeline.core.metrics import NullTracker
from pipeline.core.rundir import RunDir
from pipeline.core.timing import Stopwatch
from pipeline.core.world import World
from pipeline.data.conf import DataConfig
from pipeline.generate.conf import GenerateConfig, SamplerConfig
from pipeline.generate.draw import Drawer, load_drawer
from pipeline.generate.loop import make_all
from pipeline.generate.work import Item, build_work
from pipeline.models.conf import FamilyName, ModelConfig
from pipeline.models.pixelnano import ASSETS


class TimedDrawer:
    """Draws, and notes how long each batch took."""

    def __init__(self, drawer: Drawer) -> None:
        self.drawer = drawer
        self.times_s: list[float] = []

    def __call__(self, items: Sequence[Item], *, attempt: int) -> Any:
        """Draw a batch."""
        watch = Stopwatch()
        pixels = self.drawer(items, attempt=attempt)
        self.times_s.append(watch.elapsed_s())
        return pixels


def time_steps(settings: Settings, batch_size: int, world: World) -> dict[str, Any]:
    """Collective: time optimiser steps of the project's own trainer, ``batch_size`` a rank."""
    trainer, stream = build(_bench(settings, batch_size), world)
    times_s = []
    for _ in range(WARMUP + settings.num_steps):
        watch = Stopwatch()
        trainer.step(stream)
        times_s.append(watch.elapsed_s())
    named = trainer.named.values()
    return {
        "times_s": times_s[WARMUP:],
        "gradient_bytes": sum(4 * p.numel() for p in named),
        "num_tensors": len(named),
    }


def _bench(settings: Settings, batch_size: int) -> BenchConfig:
    return BenchConfig(
        bench=BenchName.scaling,
        model=ModelConfig(family=FamilyName.pixelnano, path=ASSETS),
        data=DataConfig(path=Path(settings.dataset)),
        sampler=SamplerConfig(num_steps=settings.sampler_steps),
        batch_sizes=[batch_size],
        num_images=settings.num_images,
    )


def time_all_reduce(num_bytes: int, *, repeats: int = 20) -> float:
    """Collective: return the median time of adding up so many bytes of fp32 over all ranks."""
    payload = torch.ones(max(1, num_bytes // 4))
    times_s = []
    for _ in range(WARMUP + repeats):
        dist.barrier()
        watch = Stopwatch()
        dist.all_reduce(payload)
        times_s.append(watch.elapsed_s())
        payload.fill_(1.0)
    return float(torch.tensor(times_s[WARMUP:]).median())


def time_generation(settings: Settings, world: World, folder: Path) -> dict[str, Any]:
    """Collective: time a whole run, without loading the model; a batch each to warm up before."""
    cfg = generation(_bench(settings, 1), batch_size=settings.draw_batch_size)
    drawer = load_drawer(cfg, device=world.device)
    alone = dataclasses.replace(cfg, num_seeds=max(1, cfg.batch_size // len(cfg.prompts)))
    _make(
        alone, TimedDrawer(drawer), World(num_threads=world.num_threads), folder / str(world.rank)
    )
    dist.barrier()
    timed, watch = TimedDrawer(drawer), Stopwatch()
    rate = _make(cfg, timed, world, folder / "all")
    total_s = watch.elapsed_s()
    num_images = len(build_work(cfg))
    return {
        "num_images": num_images,
        "total_s": total_s,
        "tail_s": max(0.0, total_s - num_images / rate) if rate else 0.0,
        "batches_s": timed.times_s,
    }


def _make(cfg: GenerateConfig, draw: TimedDrawer, world: World, folder: Path) -> float:
    outcome = make_all(
        cfg,
        build_work(cfg),
        draw,
        model_sha256=draw.drawer.model.digest,
        loras=[[]],
        world=world,
        run_dir=RunDir(folder),
        tracker=NullTracker(),
        should_stop=lambda: False,
    )
    assert outcome.finished
    # A rank that had no batch to draw has no rate; the main one always has.
    return float(outcome.figures.get("rate_img_per_s", 0.0))


def main() -> int:
    """Measure as the settings file says."""
    path = Path(sys.argv[1])
    settings = Settings(**read_json(path))
    dist.init_process_group("gloo")
    rank, size = dist.get_rank(), dist.get_world_size()
    world = World(
        rank=rank,
        world_size=size,
        local_rank=rank,
        local_world_size=size,
        num_threads=torch.get_num_threads(),
    )
    steps = {str(size): time_steps(settings, size, world) for size in settings.batch_sizes}
    first = next(iter(steps.values()))
    payloads = {*buckets(first["gradient_bytes"]), 4 * first["num_tensors"], 16}
    told = {
        "num_ranks": world.world_size,
        "num_threads": world.num_threads,
        "steps": steps,
        "all_reduce_s": {str(b): time_all_reduce(b) for b in sorted(payloads)},
        "generation": time_generation(settings, world, path.parent / "images"),
    }
    if world.is_main:
        write_json(path.parent / "measured.json", told)
    dist.destroy_process_group()
    return 0


if __name__ == "__main__":
    sys.exit(main())
