"""Sample grids while training: images are dealt over ranks, and nobody waits for anybody.

samples/000000016384/000000003.png     one image; the main rank joins them once all are there
samples/000000016384.png               the grid
"""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn

from pipeline.core.files import write_atomic
from pipeline.core.picture import load_picture, png_bytes
from pipeline.core.sheet import contact_sheet
from pipeline.core.world import World
from pipeline.generate.conf import Precision, SamplerConfig
from pipeline.generate.sample import sample_pixels
from pipeline.models.protocol import LoadedModel

STREAM_SEED = 0
"""Not the run's seed: grids of two runs start from the same noise."""


@contextlib.contextmanager
def swapped(named: Mapping[str, nn.Parameter], values: Mapping[str, Tensor]) -> Iterator[None]:
    """Lend the parameters other values, bit for bit put back at the end."""
    kept = {name: parameter.detach().clone() for name, parameter in named.items()}
    with torch.no_grad():
        for name, parameter in named.items():
            parameter.copy_(values[name])
    try:
        yield
    finally:
        with torch.no_grad():
            for name, parameter in named.items():
                parameter.copy_(kept[name])


def draw_samples(
    model: LoadedModel,
    prompts: list[str],
    folder: Path,
    *,
    sampler: SamplerConfig,
    precision: Precision,
    batch_size: int,
    world: World,
) -> None:
    """Draw this rank's share of one image a prompt and put each in place whole."""
    starts = range(0, len(prompts), batch_size)
    for turn in world.deal(len(starts)):
        indices = list(range(starts[turn], min(starts[turn] + batch_size, len(prompts))))
        images = sample_pixels(
            model,
            prompts=[prompts[i] for i in indices],
            indices=indices,
            run_seed=STREAM_SEED,
            sampler=sampler,
            device=world.device,
            precision=precision,
        )
        for index, image in zip(indices, images, strict=True):
            write_atomic(folder / f"{index:09d}.png", png_bytes(Image.fromarray(image)))


def join_grid(folder: Path, *, num_samples: int, columns: int) -> Path | None:
    """Write ``<folder>.png`` once all images are there; None until then.

    A run that goes on from before a grid finds it standing: its images are the same.
    """
    sheet = folder.with_suffix(".png")
    if sheet.exists():
        return sheet
    files = [folder / f"{index:09d}.png" for index in range(num_samples)]
    if not all(file.exists() for file in files):
        return None
    images = [load_picture(file) for file in files]
    write_atomic(sheet, png_bytes(contact_sheet(images, columns=columns)))
    return sheet
