"""Sprites a second end to end, against a plain diffusers loop and against the bare network.

    python -m bench.generate --num-images 64

Ours: text, noise, sampling, finishing, PNG files and manifest, in batches. Plain: the pipeline's
own call, one prompt a call, and ``save``. Bare: nothing but the network calls of our batches, on
tensors that stand there already. Same model, prompts, steps and guidance; rounds of all three
alternate in one process, and the median round of each counts. The last line is JSON.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from pipeline.core.metrics import NullTracker
from pipeline.core.rundir import RunDir
from pipeline.core.timing import Stopwatch
from pipeline.core.world import World
from pipeline.generate.conf import GenerateConfig, SamplerConfig
from pipeline.generate.draw import Drawer
from pipeline.generate.loop import make_all
from pipeline.generate.work import build_work
from pipeline.models.conf import FamilyName, ModelConfig
from pipeline.models.pixelnano import ASSETS
from pipeline.models.registry import load_model

PROMPTS = ("orc warrior", "ruby potion", "long sword", "green dragon")


def build(
    num_images: int, batch_size: int, *, channels_last: bool
) -> tuple[GenerateConfig, Drawer]:
    """Return settings and a loaded model."""
    cfg = GenerateConfig(
        model=ModelConfig(family=FamilyName.pixelnano, path=ASSETS),
        sampler=SamplerConfig(),
        prompts=list(PROMPTS),
        num_seeds=max(1, num_images // len(PROMPTS)),
        batch_size=batch_size,
    )
    cfg.compute.channels_last = channels_last
    drawer = Drawer(
        load_model(cfg.model, device="cpu"),
        variants=[[]],
        sampler=cfg.sampler,
        compute=cfg.compute,
        precision=cfg.precision,
        device="cpu",
    )
    return cfg, drawer


def ours(cfg: GenerateConfig, drawer: Drawer, folder: Path) -> None:
    """Make the whole run."""
    work, run_dir = build_work(cfg), RunDir(folder)
    outcome = make_all(
        cfg,
        work,
        drawer,
        model_sha256=drawer.model.digest,
        loras=[[]],
        world=World(),
        run_dir=run_dir,
        tracker=NullTracker(),
        should_stop=lambda: False,
    )
    assert outcome.finished


def plain(cfg: GenerateConfig, drawer: Drawer, folder: Path) -> None:
    """Call the pipeline prompt by prompt."""
    folder.mkdir()
    generator = torch.Generator().manual_seed(0)
    for index, item in enumerate(build_work(cfg)):
        (image,) = drawer.model.pipeline(
            item.prompt,
            num_inference_steps=cfg.sampler.num_steps,
            guidance_scale=cfg.sampler.guidance_scale,
            generator=generator,
        )
        image.save(folder / f"{index}.png")


@torch.inference_mode()
def bare(cfg: GenerateConfig, drawer: Drawer, _folder: Path) -> None:
    """Call the network as often and on as much as ``ours`` does."""
    model = drawer.model
    rows = 2 * cfg.batch_size
    x_BCHW = torch.randn(rows, *model.latent_shape)
    conditioning = drawer.text.conditioning([PROMPTS[0]] * rows, [])
    timesteps_B = torch.full((rows,), 500)
    num_batches = -(-len(build_work(cfg)) // cfg.batch_size)
    for _ in range(num_batches * cfg.sampler.num_steps):
        model.family.predict(model.pipeline.unet, x_BCHW, timesteps_B, conditioning)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.generate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--num-images", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--channels-last", action="store_true")
    arguments = parser.parse_args()
    cfg, drawer = build(
        arguments.num_images, arguments.batch_size, channels_last=arguments.channels_last
    )
    ways: dict[str, Callable[[GenerateConfig, Drawer, Path], None]] = {
        "ours": ours,
        "plain": plain,
        "bare": bare,
    }
    took_s: dict[str, list[float]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(arguments.rounds + 1):
            for name, way in ways.items():
                watch = Stopwatch()
                way(cfg, drawer, Path(folder) / f"{name}{turn}")
                if turn:  # the first round warms up
                    took_s[name].append(watch.elapsed_s())
    median_s = {name: statistics.median(times) for name, times in took_s.items()}
    num_images = len(build_work(cfg))
    for name, seconds in median_s.items():
        print(f"{name:<6} {seconds:7.2f} s  {num_images / seconds:7.2f} img/s")
    told = {
        "bench": "generate",
        "num_images": num_images,
        "batch_size": cfg.batch_size,
        "channels_last": arguments.channels_last,
        "median_s": {name: round(seconds, 3) for name, seconds in median_s.items()},
        "ours_to_plain": round(median_s["plain"] / median_s["ours"], 2),
        "ours_to_bare": round(median_s["bare"] / median_s["ours"], 3),
    }
    print(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
