"""From a config to a benchmark's result."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import loader, pixels, scaling, storage, throughput, trainstep
from bench.conf import ON_CPU, BenchConfig, BenchName
from bench.preflight.storage import mount_type
from bench.record import BenchResult, Row, here
from bench.telemetry import overhead
from bench.turns import ShouldStop, StoppedError
from pipeline.core.world import World

Measured = tuple[list[Row], list[str]]
SETTINGS = {
    BenchName.throughput: ("model", "sampler", "precision", "batch_sizes", "num_images",
                           "num_loras", "loras", "lora", "target"),
    BenchName.scaling: ("model", "data", "sampler", "precision", "batch_sizes", "num_images",
                        "num_ranks", "lora", "target"),
    BenchName.trainstep: ("model", "data", "precision", "batch_sizes", "lora"),
    BenchName.loader: ("data", "batch_sizes", "pixel_scale", "target"),
    BenchName.pixels: ("data", "num_images", "scale"),
    BenchName.storage: ("num_images", "large_file_mib"),
    BenchName.telemetry: ("model", "data", "precision", "batch_sizes", "lora"),
}  # fmt: skip
"""What each bench reads: what must be alike for two of its results to be compared."""


def run_bench(
    cfg: BenchConfig, *, world: World, folder: Path, should_stop: ShouldStop
) -> BenchResult | None:
    """Measure; None when told to stop.

    Args:
        cfg: What, and how often.
        world: This process; benches that need more processes start them.
        folder: Whose disk is measured, and where pictures go.
        should_stop: Whether to go; looked at between repeats.
    """
    ways: dict[BenchName, Callable[[], Measured]] = {
        BenchName.throughput: lambda: throughput.measure(cfg, world, should_stop),
        BenchName.scaling: lambda: scaling.measure(cfg, world, should_stop),
        BenchName.trainstep: lambda: trainstep.measure(cfg, world, should_stop),
        BenchName.loader: lambda: loader.measure(cfg, should_stop),
        BenchName.pixels: lambda: pixels.measure(cfg, should_stop, show=folder / "pixels"),
        BenchName.storage: lambda: storage.measure(cfg, folder, should_stop),
        BenchName.telemetry: lambda: overhead.measure(cfg, world, should_stop),
    }
    try:
        rows, said = ways[cfg.bench]()
    except StoppedError:
        return None
    device = "cpu" if cfg.bench in ON_CPU else world.device
    return BenchResult(
        bench=cfg.bench.value,
        conditions=here(device=device, num_threads=world.num_threads),
        rows=tuple(rows),
        settings=_settings(cfg, folder),
        verdicts=tuple(said),
    )


def _settings(cfg: BenchConfig, folder: Path) -> dict[str, Any]:
    told = {name: _plain(getattr(cfg, name)) for name in SETTINGS[cfg.bench]}
    if cfg.bench is BenchName.storage:
        told["file_system"] = mount_type(folder)
    return told


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
