"""Sprites a second, latency, memory and energy: batch sizes, and adapters one and many.

A request is one batch: prompts in, finished PNG bytes out, nothing else under way. Ways to use
adapters: ``base`` none; ``lora`` one, applied in every step; ``fused`` one, added into the base's
weights; ``several`` all at once; ``hot_swap`` another one each request, the base loaded once.
Without trained ones, fresh ones of the configured rank are used: their values do not change speed.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from bench.conf import BenchConfig
from bench.generate import bare, generation, measure_run
from bench.record import Row, row
from bench.trainstep import settle
from bench.turns import ShouldStop, turns
from pipeline.core.nvml import open_nvml
from pipeline.core.picture import png_bytes
from pipeline.core.timing import Stopwatch
from pipeline.core.world import World
from pipeline.generate.conf import GenerateConfig, LoraVariant
from pipeline.generate.draw import Drawer, load_drawer, to_host
from pipeline.generate.work import Item, build_work
from pipeline.models import lora
from pipeline.models.conf import LoraUse
from pipeline.models.lora_files import WEIGHTS_NAME, save_lora
from pipeline.models.registry import load_model
from pipeline.pixels.chain import Finisher

WAYS = ("base", "lora", "fused", "several", "hot_swap")


def measure(cfg: BenchConfig, world: World, should_stop: ShouldStop) -> tuple[list[Row], list[str]]:
    """Measure every way at every batch size, then whole runs.

    Returns:
        Rows named ``<way>.batch<n>.<rate|latency|vram_peak|energy>``, and sentences.
    """
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        uses = cfg.loras or untrained(cfg, Path(folder))
        base: dict[int, float] = {}
        for way in WAYS:
            rows += _measure_way(
                cfg, way, uses, base=base, device=world.device, should_stop=should_stop
            )
    said = [_verdict(each, cfg.target) for each in rows if each.name.endswith(".latency")]
    if not world.device.startswith("cuda"):
        said.append("no GPU: its peak memory and energy are not measured")
    run_rows, run_said = measure_run(cfg, world, should_stop)
    return rows + run_rows, said + run_said


def variants_of(way: str, uses: Sequence[LoraUse]) -> list[list[LoraUse]]:
    """Return the sets of adapters that a way switches between."""
    ways: dict[str, list[list[LoraUse]]] = {
        "base": [[]],
        "lora": [[uses[0]]],
        "fused": [[uses[0]]],
        "several": [list(uses)],
        "hot_swap": [[use] for use in uses],
    }
    return ways[way]


def untrained(cfg: BenchConfig, folder: Path) -> list[LoraUse]:
    """Write fresh adapters of ``cfg.lora`` and say where they are."""
    uses = []
    for number in range(cfg.num_loras):
        model = load_model(cfg.model, device="cpu")
        lora.attach(model, cfg.lora, seed=number)
        save_lora(model, cfg.lora, folder / str(number))
        uses.append(LoraUse(path=folder / str(number) / WEIGHTS_NAME))
    return uses


def _measure_way(
    cfg: BenchConfig,
    way: str,
    uses: Sequence[LoraUse],
    *,
    base: dict[int, float],
    device: str,
    should_stop: ShouldStop,
) -> list[Row]:
    run = generation(cfg, batch_size=1)
    run.compute.fuse_loras = way == "fused"
    variants = variants_of(way, uses)
    run.variants = [LoraVariant(name=str(n), loras=uses) for n, uses in enumerate(variants)]
    drawer = load_drawer(run, device=device)
    rows = []
    for size in cfg.batch_sizes:
        told = _requests(
            cfg,
            drawer,
            run,
            batch_size=size,
            num_variants=len(variants),
            should_stop=should_stop,
        )
        name = f"{way}.batch{size}"
        if way == "base":
            base[size] = _bare_rate(run, drawer, size, cfg, should_stop=should_stop)
        ceiling: dict[str, Any] = {
            "ceiling": base[size],
            "ceiling_is": "the network calls alone" if way == "base" else "base, no adapters",
        }
        rate = row(f"{name}.rate", told["rate"], unit="img/s", warmup=cfg.warmup, **ceiling)
        if way == "base":
            base[size] = rate.median or 0.0
        rows += [
            rate,
            row(f"{name}.latency", told["latency"], unit="ms", higher_is_better=False),
            _maybe(f"{name}.vram_peak", told["vram"], unit="GiB"),
            _maybe(f"{name}.energy", told["energy"], unit="J/img"),
        ]
    return rows


def _maybe(name: str, samples: list[float], *, unit: str) -> Row:
    if samples:
        return row(name, samples, unit=unit, higher_is_better=False)
    return Row(name=name, unit=unit, higher_is_better=False)


def _requests(
    cfg: BenchConfig,
    drawer: Drawer,
    run: GenerateConfig,
    *,
    batch_size: int,
    num_variants: int,
    should_stop: ShouldStop,
) -> dict[str, list[float]]:
    """Return per repeat images a second, GiB and joules an image; per request milliseconds."""
    items = list(build_work(run))
    finisher = Finisher(run.finish, native_size_px=run.model.size_px)
    count = max(1, cfg.num_images // batch_size)
    told: dict[str, list[float]] = {"rate": [], "latency": [], "vram": [], "energy": []}
    with _joules(drawer.device) as joules:
        for turn, counts in turns(cfg, should_stop):
            _reset_peak(drawer.device)
            before, watch, latencies = joules(), Stopwatch(), []
            for request in range(count):
                variant = (turn * count + request) % num_variants
                batch = [replace(items[i % len(items)], variant=variant) for i in range(batch_size)]
                # As a prompt that was not asked for before, whichever way adapters are used.
                drawer.text.clear()
                one = Stopwatch()
                serve(drawer, finisher, batch)
                latencies.append(one.elapsed_s() * 1000)
            if not counts:
                continue
            made = count * batch_size
            told["rate"].append(made / watch.elapsed_s())
            told["latency"] += latencies
            told["vram"] += _peak_gib(drawer.device)
            after = joules()
            if before is not None and after is not None:
                told["energy"].append((after - before) / made)
    return told


def serve(drawer: Drawer, finisher: Finisher, batch: list[Item]) -> int:
    """Answer one request; return the bytes that would be sent."""
    pixels, event = to_host(drawer(batch, attempt=0))
    if event is not None:
        event.synchronize()
    finished = finisher(np.ascontiguousarray(pixels.numpy()))
    return sum(len(png_bytes(Image.fromarray(one.pixels))) for one in finished)


def _bare_rate(
    run: GenerateConfig,
    drawer: Drawer,
    batch_size: int,
    cfg: BenchConfig,
    *,
    should_stop: ShouldStop,
) -> float:
    run.batch_size = batch_size
    calls = max(1, cfg.num_images // batch_size)
    rates = []
    for _, counts in turns(cfg, should_stop):
        watch = Stopwatch()
        bare(run, drawer, num_calls=calls)
        settle(drawer.device)
        if counts:
            rates.append(calls * batch_size / watch.elapsed_s())
    return float(np.median(rates))


def _verdict(latency: Row, slo_ms: float | None) -> str:
    told = f"{latency.name.removesuffix('.latency')}: p95 latency {latency.p95} ms"
    if slo_ms is None:
        return told
    met = "met" if (latency.p95 or 0) <= slo_ms else "missed"
    return f"{told}, objective {slo_ms} ms {met}"


@contextmanager
def _joules(device: str) -> Iterator[Any]:
    """Lend a reader of the GPU's energy counter; it gives None where there is none."""
    with open_nvml() as nvml:
        handle = None
        if nvml and device.startswith("cuda"):
            # By UUID: CUDA_VISIBLE_DEVICES numbers GPUs anew for torch, and NVML does not look.
            uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
            handle = nvml.ask("DeviceGetHandleByUUID", uuid)

        def read() -> float | None:
            if nvml is None or handle is None:
                return None
            millijoules = nvml.ask("DeviceGetTotalEnergyConsumption", handle)
            return None if millijoules is None else millijoules / 1000

        yield read


def _reset_peak(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)


def _peak_gib(device: str) -> list[float]:
    if not device.startswith("cuda"):
        return []
    return [torch.cuda.max_memory_allocated(device) / 2**30]
