"""From a config to a benchmark's result."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import loader, pixels, scaling, storage, throughput, trainstep
from bench.conf import BenchConfig, BenchName
from bench.record import BenchResult, Row, here
from bench.telemetry import overhead
from pipeline.core.world import World

Measured = tuple[list[Row], list[str]]
SETTINGS = {
    BenchName.throughput: ("model", "sampler", "precision", "batch_sizes", "num_images",
                           "num_loras", "lora", "target"),
    BenchName.scaling: ("model", "data", "sampler", "precision", "batch_sizes", "num_images",
                        "num_ranks", "lora", "target"),
    BenchName.trainstep: ("model", "data", "precision", "batch_sizes", "lora"),
    BenchName.loader: ("data", "batch_sizes", "pixel_scale", "target"),
    BenchName.pixels: ("data", "num_images", "scale"),
    BenchName.storage: ("num_images", "large_file_mib"),
    BenchName.telemetry: ("model", "data", "precision", "batch_sizes", "lora"),
}  # fmt: skip
"""What each bench reads: what must be alike for two of its results to be compared."""


def run_bench(cfg: BenchConfig, *, world: World, folder: Path) -> BenchResult:
    """Measure.

    Args:
        cfg: What, and how often.
        world: This process; benches that need more processes start them.
        folder: Whose disk is measured, and where pictures go.
    """
    ways: dict[BenchName, Callable[[], Measured]] = {
        BenchName.throughput: lambda: throughput.measure(cfg, world),
        BenchName.scaling: lambda: scaling.measure(cfg, world),
        BenchName.trainstep: lambda: trainstep.measure(cfg, world),
        BenchName.loader: lambda: loader.measure(cfg),
        BenchName.pixels: lambda: pixels.measure(cfg, show=folder / "pixels"),
        BenchName.storage: lambda: storage.measure(cfg, folder),
        BenchName.telemetry: lambda: overhead.measure(cfg, world),
    }
    rows, said = ways[cfg.bench]()
    return BenchResult(
        bench=cfg.bench.value,
        conditions=here(device=world.device, num_threads=world.num_threads),
        rows=tuple(rows),
        settings={name: _plain(getattr(cfg, name)) for name in SETTINGS[cfg.bench]},
        verdicts=tuple(said),
    )


def _plain(value: Any) -> Any:
    """Return a setting as JSON; of paths the name alone, which is the same on any machine."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Path):
        return value.name
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return getattr(value, "value", value)
