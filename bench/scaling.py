"""Training and generation on 1, 2, 4, ... ranks of one node: gain and efficiency.

Every rank has the same batch (weak scaling) and the same share of cores, the one it has when all
are there, so that only what ranks cost each other is seen. A repeat takes as long as its slowest
rank; all begin together.
"""

from collections.abc import Callable, Sequence

import numpy as np
import psutil
import torch.distributed as dist

from bench.conf import BenchConfig
from bench.generate import generation
from bench.ranks import on_ranks
from bench.record import Row, row
from bench.throughput import serve
from bench.trainstep import STEPS, build, our_round, settle
from bench.turns import ShouldStop, look
from pipeline.core.timing import Stopwatch
from pipeline.core.world import World
from pipeline.generate.draw import load_drawer
from pipeline.generate.work import build_work
from pipeline.pixels.chain import Finisher


def measure(cfg: BenchConfig, world: World, should_stop: ShouldStop) -> tuple[list[Row], list[str]]:
    """Measure both on each number of ranks.

    Returns:
        Rows ``<train|generate>.ranks<n>`` in images a second over all ranks, the ceiling n times
        one rank's rate; and sentences with the gain from 2 to 4 ranks (milestone M1).
    """
    cores = len(psutil.Process().cpu_affinity() or (0,))
    num_threads = max(1, cores // cfg.num_ranks[-1])
    device = world.device.partition(":")[0]
    rows: list[Row] = []
    said = []
    for name, task in (("train", train_times), ("generate", generate_times)):
        rates: dict[int, float] = {}
        for num_ranks in cfg.num_ranks:
            look(should_stop)
            times = on_ranks(num_ranks, task, cfg, device=device, num_threads=num_threads)
            samples = rates_of(times, images_a_rank=images_a_repeat(name, cfg))
            first = rates.setdefault(cfg.num_ranks[0], float(np.median(samples)))
            told = row(
                f"{name}.ranks{num_ranks}",
                samples,
                unit="img/s",
                warmup=cfg.warmup,
                ceiling=first * num_ranks / cfg.num_ranks[0],
                ceiling_is=f"{cfg.num_ranks[0]} rank's rate, as many times",
            )
            rates[num_ranks] = told.median or 0.0
            rows.append(told)
        if device == "cpu":
            said += [
                f"{name}: {n} ranks share {cores} cores, so no more than {cores} can gain"
                for n in cfg.num_ranks
                if n > cores
            ]
        if {2, 4} <= rates.keys():
            said.append(gain_sentence(name, rates[4] / rates[2], cfg.target))
    return rows, said


def gain_sentence(name: str, gain: float, target: float | None) -> str:
    """Say what 4 ranks make over what 2 make, and whether that is enough."""
    told = f"{name}: 4 ranks make {gain:.2f} times what 2 make"
    if target is None:
        return told
    return f"{told}; milestone M1 wants {target}: {'met' if gain >= target else 'not met'}"


def images_a_repeat(name: str, cfg: BenchConfig) -> int:
    """Return images one rank makes in one repeat."""
    batch = cfg.batch_sizes[0]
    return STEPS * batch if name == "train" else max(1, cfg.num_images // batch) * batch


def rates_of(times_s: Sequence[Sequence[float]], *, images_a_rank: int) -> list[float]:
    """Return images a second over all ranks for each repeat: the slowest rank ends it."""
    return [len(times_s) * images_a_rank / max(ranks) for ranks in zip(*times_s, strict=True)]


def train_times(world: World, cfg: BenchConfig) -> list[float]:
    """Return seconds of each repeat of training on this rank."""
    trainer, stream = build(cfg, world)
    return _times(cfg, world, lambda: our_round(trainer, stream))


def generate_times(world: World, cfg: BenchConfig) -> list[float]:
    """Return seconds of each repeat of generation on this rank."""
    batch_size = cfg.batch_sizes[0]
    run = generation(cfg, batch_size=batch_size)
    drawer = load_drawer(run, device=world.device)
    finisher = Finisher(run.finish, native_size_px=run.model.size_px)
    items = list(build_work(run))
    batch = [items[i % len(items)] for i in range(batch_size)]

    def repeat() -> None:
        for _ in range(max(1, cfg.num_images // batch_size)):
            serve(drawer, finisher, batch)

    return _times(cfg, world, repeat)


def _times(cfg: BenchConfig, world: World, repeat: Callable[[], None]) -> list[float]:
    times = []
    for turn in range(cfg.warmup + cfg.repeats):
        if world.world_size > 1:
            dist.barrier()
        watch = Stopwatch()
        repeat()
        settle(world.device)
        if turn >= cfg.warmup:
            times.append(watch.elapsed_s())
    return times
