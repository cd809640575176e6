"""The disk below a folder: many small files as sprites are written, few large ones as weights are.

Small: PNG-sized files, each flushed, put in place by rename and read back with the page cache
dropped; beside it the same bytes without flushing, which is what safety costs. Large: one file,
flushed, then read cold. Random bytes, so that a file system that packs cannot cheat.
"""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.conf import BenchConfig
from bench.record import Row, row
from bench.turns import ShouldStop, turns
from pipeline.core.files import fsync_dir, write_atomic
from pipeline.core.seeds import derive_seed
from pipeline.core.timing import Stopwatch

SMALL_BYTES = 2048
"""About a 32-px sprite with its metadata."""
CHUNK_BYTES = 8 * 2**20


def measure(cfg: BenchConfig, folder: Path, should_stop: ShouldStop) -> tuple[list[Row], list[str]]:
    """Measure the file system that ``folder`` is on; everything written is removed.

    Returns:
        Rows in files and GB a second, and sentences.
    """
    told: dict[str, list[float]] = {}
    rng = np.random.Generator(np.random.Philox(key=derive_seed(0, "storage", 0)))
    small = [rng.bytes(SMALL_BYTES) for _ in range(cfg.num_images)]
    large = rng.bytes(CHUNK_BYTES)
    for _, counts in turns(cfg, should_stop):
        with tempfile.TemporaryDirectory(dir=folder) as name:
            once = _small(Path(name), small)
            once |= _large(Path(name), large, cfg.large_file_mib * 2**20 // CHUNK_BYTES or 1)
        if counts:
            for key, value in once.items():
                told.setdefault(key, []).append(value)
    plain = float(np.median(told["small.plain_write"]))
    rows = [
        row("small.plain_write", told["small.plain_write"], unit="files/s", warmup=cfg.warmup),
        row(
            "small.write",
            told["small.write"],
            unit="files/s",
            warmup=cfg.warmup,
            ceiling=plain,
            ceiling_is="the same files written without flushing or renaming",
        ),
        row("small.read_cold", told["small.read_cold"], unit="files/s", warmup=cfg.warmup),
        row("large.write", told["large.write"], unit="GB/s", warmup=cfg.warmup),
        row("large.read_cold", told["large.read_cold"], unit="GB/s", warmup=cfg.warmup),
    ]
    return rows, [
        f"this disk takes {rows[1].median} flushed sprites a second from one process; "
        f"a 5 GB base model is read in {5 / (rows[4].median or 1):.1f} s cold"
    ]


def _small(folder: Path, files: Sequence[bytes]) -> dict[str, float]:
    plain, kept = folder / "plain", folder / "kept"
    plain.mkdir()
    kept.mkdir()
    told = {}
    count = len(files)
    watch = Stopwatch()
    for number, data in enumerate(files):
        (plain / f"{number:09d}.png").write_bytes(data)
    told["small.plain_write"] = count / watch.lap_s()
    for number, data in enumerate(files):
        write_atomic(kept / f"{number:09d}.png", data)
    fsync_dir(kept)
    told["small.write"] = count / watch.lap_s()
    for file in kept.iterdir():
        _drop(file)
    watch.lap_s()
    for number in range(count):
        (kept / f"{number:09d}.png").read_bytes()
    told["small.read_cold"] = count / watch.elapsed_s()
    return told


def _large(folder: Path, chunk: bytes, count: int) -> dict[str, float]:
    path = folder / "large"
    watch = Stopwatch()
    with path.open("wb", buffering=0) as file:
        for _ in range(count):
            file.write(chunk)
        os.fsync(file.fileno())
    written_s = watch.lap_s()
    _drop(path)
    watch.lap_s()
    with path.open("rb", buffering=0) as file:
        while file.read(CHUNK_BYTES):
            pass
    size_gb = count * len(chunk) / 1e9
    return {"large.write": size_gb / written_s, "large.read_cold": size_gb / watch.elapsed_s()}


def _drop(path: Path) -> None:
    """Drop a file from the page cache."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
