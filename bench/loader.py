"""Our loader against torch DataLoader + Pillow, same images, same transforms, in one process.

    python -m bench.loader data/sprites32

Both give float32 CHW in [-1, 1], premultiplied, flipped by position. The rival decodes with Pillow
in ``num_workers`` processes, kept alive over epochs. "First" is the first epoch with everything it
takes to start; "later" the best of the following ones. The last line of stdout is the JSON.
"""

import argparse
import json
import platform
import sys
import time
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from pipeline.core.errors import InputError
from pipeline.core.world import World
from pipeline.data.conf import DataConfig
from pipeline.data.dataset import Dataset
from pipeline.data.loader import Loader
from pipeline.data.order import Order

BATCH = 64
EPOCHS = 4


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
    )  # fmt: skip
    rates = []
    for _ in range(EPOCHS):
        count = sum(len(batch) for batch in loader)
        now = time.perf_counter()
        rates.append(count / (now - start))
        start = now
    return rates


def time_ours(path: Path, cfg: DataConfig, *, num_threads: int) -> list[float]:
    """Return images a second of each epoch."""
    start = time.perf_counter()
    dataset = Dataset.open(path)
    split = dataset.split("train")
    loader = Loader(
        split, cfg, flip_ok=dataset.flip_ok, run_seed=0, device="cpu", num_threads=num_threads
    )
    stream = loader.stream(0, batch_size=BATCH, num_accumulation_steps=1, world=World())
    rates = []
    for _ in range(EPOCHS):
        count = sum(len(b.indices) for b in islice(stream, len(split) // BATCH))
        now = time.perf_counter()
        rates.append(count / (now - start))
        start = now
    return rates


def measure(path: Path) -> list[dict[str, Any]]:
    """Measure every loader at 1x and 4x, in turn."""
    rows = []
    for scale in (1, 4):
        cfg = DataConfig(path=path, pixel_scale=scale)
        uncached = DataConfig(path=path, pixel_scale=scale, cache_gib=0.0)
        timings = {
            "ours, decoded in memory": time_ours(path, cfg, num_threads=2),
            "ours, decoding each time": time_ours(path, uncached, num_threads=2),
            "DataLoader + Pillow, 2 workers": time_rival(path, cfg, num_workers=2),
            "DataLoader + Pillow, 0 workers": time_rival(path, cfg, num_workers=0),
        }
        for name, rates in timings.items():
            rows.append(
                {
                    "loader": name,
                    "pixel_scale": scale,
                    "first_img_per_s": round(rates[0]),
                    "later_img_per_s": round(max(rates[1:])),
                }
            )
    return rows


def main() -> int:
    """Print the table and the JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.loader", description=__doc__)
    parser.add_argument("dataset", type=Path)
    path = parser.parse_args().dataset
    try:
        rows = measure(path)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for row in rows:
        print(
            f"{row['pixel_scale']}x  {row['loader']:<32} first {row['first_img_per_s']:>7} img/s"
            f"   later {row['later_img_per_s']:>7} img/s"
        )
    about = {"machine": platform.processor() or platform.machine(), "torch": torch.__version__}
    print(json.dumps({"bench": "loader", "batch_size": BATCH, **about, "rows": rows}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
