"""Gaussian noise and timesteps keyed by global sample index.

Shape legend: B batch; the rest is the shape of one sample.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from pipeline.core.seeds import derive_seed


def sample_noise(
    run_seed: int, stream: str, indices: Sequence[int], *, shape: Sequence[int]
) -> Float[Tensor, "B ..."]:
    """Draw unit Gaussian noise, one independent generator a sample.

    Drawn on the CPU in fp32 whatever the model's device, so that a sample's noise does not depend
    on the batch, the rank, the world size or the kind of GPU.
    """
    out = torch.empty((len(indices), *shape))
    generator = torch.Generator()
    for row, index in enumerate(indices):
        generator.manual_seed(derive_seed(run_seed, stream, index))
        torch.randn(tuple(shape), generator=generator, out=out[row])
    return out


def sample_timesteps(
    run_seed: int, stream: str, indices: Sequence[int], *, num_timesteps: int
) -> Int64[Tensor, " B"]:
    """Draw one integer timestep in [0, num_timesteps) a sample, uniformly."""
    values = [derive_seed(run_seed, stream, index) % num_timesteps for index in indices]
    return torch.tensor(values, dtype=torch.int64)


def seed_everything(run_seed: int, stream: str, index: int) -> None:
    """Seed torch's global generators for layers that draw from them (dropout), per micro-batch."""
    torch.manual_seed(derive_seed(run_seed, stream, index))
