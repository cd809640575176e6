"""Our loader against torch's DataLoader with Pillow, and against a tensor that stands ready.

All give float32 CHW in [-1, 1], premultiplied, flipped by position, in batches. The DataLoader
decodes with Pillow in worker processes that are kept alive over epochs. The ready tensor holds
every image in just that form, so that a batch is a copy of its rows: the bound. Each runs in a
fresh process. "Cold" is the first epoch: files out of the page cache, imports and start-up
included; "warm" are those after it.
"""

import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from io import BytesIO
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from bench.conf import BenchConfig
from bench.record import Row, row
from bench.turns import ShouldStop, look
from pipeline.core.world import World
from pipeline.data.conf import DataConfig
from pipeline.data.dataset import Dataset
from pipeline.data.loader import Loader
from pipeline.data.order import Order

OURS, DECODING, RIVAL, READY = "ours", "ours_decoding", "dataloader_2_workers", "ready_tensor"


class PillowImages(TorchDataset[torch.Tensor]):
    """The rival's data set: the same files out of memory, decoded and transformed by Pillow."""

    def __init__(self, cfg: DataConfig) -> None:
        dataset = Dataset.open(cfg.path)
        split = dataset.split("train")
        self.files = [bytes(split.png_bytes(i)) for i in range(len(split))]
        self.order = Order(len(split), cfg, flip_ok=dataset.flip_ok, run_seed=0)
        self.scale = cfg.pixel_scale

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> torch.Tensor:
        """Return one image, premultiplied, in [-1, 1], CHW."""
        image: Image.Image = Image.open(BytesIO(self.files[index]))
        if self.order.draw(index).is_flipped:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if self.scale > 1:
            size = (image.width * self.scale, image.height * self.scale)
            image = image.resize(size, Image.Resampling.NEAREST)
        values = np.asarray(image).astype(np.float32)
        colour, alpha = values[..., :3], values[..., 3:]
        out = np.concatenate(
            [(colour / 127.5 - 1.0) * (alpha / 255.0), alpha / 127.5 - 1.0], axis=2
        )
        return torch.from_numpy(out.transpose(2, 0, 1).astype(np.float32))


def measure(cfg: BenchConfig, should_stop: ShouldStop) -> tuple[list[Row], list[str]]:
    """Measure every loader at every scale, each in a process of its own, with cold files.

    Returns:
        Rows in images and GB a second, and sentences.
    """
    rows: list[Row] = []
    said = []
    side_px = Dataset.open(cfg.data.path).size_px
    for scale in cfg.pixel_scale:
        warm: dict[str, list[float]] = {}
        for name in (READY, RIVAL, OURS, DECODING):
            look(should_stop)
            _evict(cfg.data.path)
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                rates = pool.submit(_time_one, name, cfg, scale).result()
            warm[name] = rates[1:]
            beside = _ceiling(name, warm)
            rows += [
                row(f"{name}.{scale}x", rates[1:], unit="img/s", warmup=1, **beside),
                row(f"{name}.{scale}x.cold", rates[:1], unit="img/s"),
            ]
        image_bytes = 4 * 4 * (side_px * scale) ** 2
        given = row(f"{OURS}.{scale}x.bytes", [r * image_bytes / 1e9 for r in warm[OURS]],
                    unit="GB/s", warmup=1)  # fmt: skip
        rows.append(given)
        said.append(_verdict(given, scale, cfg.target))
    return rows, said


def _ceiling(name: str, warm: dict[str, list[float]]) -> dict[str, Any]:
    if name == READY:
        return {}
    best = float(np.median(warm[READY]))
    return {"ceiling": best, "ceiling_is": "a copy out of one tensor that stands ready"}


def _verdict(given: Row, scale: int, target: float | None) -> str:
    told = f"loader at {scale}x gives {given.median} GB/s of float32"
    if target is None:
        return told
    reached = "reached" if (given.median or 0) >= target else "missed"
    return f"{told}; the target of {target} GB/s (milestone M2) is {reached}"


def _time_one(name: str, cfg: BenchConfig, scale: int) -> list[float]:
    """Return images a second of each epoch, the cold one first."""
    start = time.perf_counter()
    batch = cfg.batch_sizes[0]
    data = DataConfig(path=cfg.data.path, pixel_scale=scale)
    if name == READY:
        return _rates(_ready_epoch(PillowImages(data), batch), start, cfg.repeats)
    if name == RIVAL:
        # fork is Linux's default; a spawned process would hand down its own, slower one.
        loader: Any = DataLoader(
            PillowImages(data), batch_size=batch, shuffle=True, num_workers=2, drop_last=True,
            persistent_workers=True, multiprocessing_context="fork",
        )  # fmt: skip
        return _rates(lambda: sum(len(each) for each in loader), start, cfg.repeats)
    if name == DECODING:
        data.cache_gib = 0.0
    dataset = Dataset.open(cfg.data.path)
    split = dataset.split("train")
    ours = Loader(
        split, data, size_px=dataset.size_px, flip_ok=dataset.flip_ok, run_seed=0, device="cpu",
        num_threads=2,
    )  # fmt: skip
    stream = ours.stream(0, batch_size=batch, num_accumulation_steps=1, world=World())

    def epoch() -> int:
        return sum(len(b.indices) for b in islice(stream, max(1, len(split) // batch)))

    return _rates(epoch, start, cfg.repeats)


def _ready_epoch(images: PillowImages, batch: int) -> Callable[[], int]:
    ready_BCHW = torch.stack([images[index] for index in range(len(images))])
    return lambda: sum(
        len(ready_BCHW.index_select(0, rows)) for rows in torch.randperm(len(images)).split(batch)
    )


def _rates(epoch: Callable[[], int], start: float, num_warm: int) -> list[float]:
    """Run the first epoch, which began at ``start``, and those that count."""
    rates: list[float] = []
    for _ in range(1 + num_warm):
        count = epoch()
        now = time.perf_counter()
        rates.append(count / (now - start))
        start = now
    return rates


def _evict(path: Path) -> None:
    """Drop the data set from the page cache."""
    for file in path.iterdir():
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
