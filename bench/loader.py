"""Our loader against torch DataLoader + Pillow, same images, same transforms.

    python -m bench.loader data/sprites32

Both give float32 CHW in [-1, 1], premultiplied, flipped by position. The rival decodes with Pillow
in ``num_workers`` processes, kept alive over epochs. Each loader runs in a fresh process. "Cold" is
its first epoch: files not in the page cache, imports and start-up included; "warm" the median
of those of the next three seconds. The last line of stdout is the JSON.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from io import BytesIO
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from pipeline.core.errors import one_line_errors
from pipeline.core.world import World
from pipeline.data.conf import DataConfig
from pipeline.data.dataset import Dataset
from pipeline.data.loader import Loader
from pipeline.data.order import Order

BATCH = 64
WARM_S = 3.0


class PillowImages(TorchDataset[torch.Tensor]):
    """The rival's data set: the same files out of memory, decoded and transformed by Pillow."""

    def __init__(self, path: Path, cfg: DataConfig) -> None:
        dataset = Dataset.open(path)
        split = dataset.split("train")
        self.files = [bytes(split.png_bytes(i)) for i in range(len(split))]
        self.order = Order(len(split), cfg, flip_ok=dataset.flip_ok, run_seed=0)
        self.scale = cfg.pixel_scale

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> torch.Tensor:
        """Return one image, premultiplied, in [-1, 1]."""
        image: Image.Image = Image.open(BytesIO(self.files[index]))
        if self.order.draw(index).is_flipped:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if self.scale > 1:
            size = (image.width * self.scale, image.height * self.scale)
            image = image.resize(size, Image.Resampling.NEAREST)
        pixels = np.asarray(image).astype(np.float32)
        colour, alpha = pixels[..., :3], pixels[..., 3:]
        out = np.concatenate(
            [(colour / 127.5 - 1.0) * (alpha / 255.0), alpha / 127.5 - 1.0], axis=2
        )
        return torch.from_numpy(out.transpose(2, 0, 1).astype(np.float32))


def time_rival(path: Path, cfg: DataConfig, *, num_workers: int) -> list[float]:
    """Return images a second of each epoch."""
    start = time.perf_counter()
    images = PillowImages(path, cfg)
    loader: Any = DataLoader(
        images, batch_size=BATCH, shuffle=True, num_workers=num_workers, drop_last=True,
        persistent_workers=num_workers > 0,
        # Linux's default; a spawned process would hand down its own, slower one.
        multiprocessing_context="fork" if num_workers else None,
    )  # fmt: skip
    return _rates(lambda: sum(len(batch) for batch in loader), start)


def time_ours(path: Path, cfg: DataConfig, *, num_threads: int = 2) -> list[float]:
    """Return images a second of each epoch."""
    start = time.perf_counter()
    dataset = Dataset.open(path)
    split = dataset.split("train")
    loader = Loader(
        split,
        cfg,
        size_px=dataset.size_px,
        flip_ok=dataset.flip_ok,
        run_seed=0,
        device="cpu",
        num_threads=num_threads,
    )
    stream = loader.stream(0, batch_size=BATCH, num_accumulation_steps=1, world=World())
    return _rates(lambda: sum(len(b.indices) for b in islice(stream, len(split) // BATCH)), start)


def _rates(epoch: Callable[[], int], start: float) -> list[float]:
    """Run epochs for a few seconds; the first one began at ``start``."""
    rates: list[float] = []
    spent_s = 0.0
    while spent_s < WARM_S:
        count = epoch()
        now = time.perf_counter()
        rates.append(count / (now - start))
        spent_s += now - start if len(rates) > 1 else 0.0
        start = now
    return rates


LOADERS: dict[str, Callable[[Path, int], list[float]]] = {
    "ours, decoded in memory": lambda path, scale: time_ours(
        path, DataConfig(path=path, pixel_scale=scale)
    ),
    "ours, decoding each time": lambda path, scale: time_ours(
        path, DataConfig(path=path, pixel_scale=scale, cache_gib=0.0)
    ),
    "DataLoader + Pillow, 2 workers": lambda path, scale: time_rival(
        path, DataConfig(path=path, pixel_scale=scale), num_workers=2
    ),
    "DataLoader + Pillow, 0 workers": lambda path, scale: time_rival(
        path, DataConfig(path=path, pixel_scale=scale), num_workers=0
    ),
}
OURS, RIVAL = "ours, decoded in memory", "DataLoader + Pillow, 2 workers"


def measure(path: Path) -> list[dict[str, Any]]:
    """Measure every loader at 1x and 4x, each in a process of its own, with cold files."""
    rows = []
    for scale in (1, 4):
        for name in LOADERS:
            _evict(path)
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                rates = pool.submit(_time_one, name, path, scale).result()
            rows.append(
                {
                    "loader": name,
                    "pixel_scale": scale,
                    "cold_img_per_s": round(rates[0]),
                    "warm_img_per_s": round(median(rates[1:])),
                }
            )
    return rows


def _time_one(name: str, path: Path, scale: int) -> list[float]:
    return LOADERS[name](path, scale)


def _evict(path: Path) -> None:
    """Drop the data set from the page cache."""
    for file in path.iterdir():
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@one_line_errors
def main() -> int:
    """Print the table and the JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.loader", description=__doc__)
    parser.add_argument("dataset", type=Path)
    path = parser.parse_args().dataset
    rows = measure(path)
    for row in rows:
        print(
            f"{row['pixel_scale']}x  {row['loader']:<32} cold {row['cold_img_per_s']:>7} img/s"
            f"   warm {row['warm_img_per_s']:>7} img/s"
        )
    rate = {(r["loader"], r["pixel_scale"]): r["warm_img_per_s"] for r in rows}
    ratios = {f"{n}x": round(rate[OURS, n] / rate[RIVAL, n], 2) for n in (1, 4)}
    print(f"ours, decoded in memory, against {RIVAL}, warm: {ratios}")
    about = {"machine": platform.processor() or platform.machine(), "torch": torch.__version__}
    print(
        json.dumps(
            {"bench": "loader", "batch_size": BATCH, **about, "warm_ratio": ratios, "rows": rows}
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
