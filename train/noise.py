"""The noise a training step adds, keyed by global sample index.

Shape legend: B batch, C channels, H W height width.
"""

import math
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from pipeline.core.noise import sample_noise
from train.conf import LossConfig


def training_noise(
    cfg: LossConfig, *, run_seed: int, indices: Sequence[int], shape: tuple[int, int, int]
) -> Float[Tensor, "B C H W"]:
    """Draw Gaussian noise, with coarser noise and a constant a channel where they are asked for.

    Pyramid noise: for level i = 1, 2, ... down to one cell, independent noise of side H / 2^i is
    enlarged by repetition and added with the factor d^i, and the sum divided by
    sqrt(1 + d^2 + d^4 + ...): every cell stays Gaussian of unit variance, on any side. (Whitaker's
    multi-resolution noise of 2023 draws the sides at random and divides by what is measured over a
    batch, which would make a sample depend on its neighbours.)
    """
    channels, height, width = shape
    noise_BCHW = sample_noise(run_seed, "noise", indices, shape=shape)
    if cfg.pyramid_noise:
        variance = 1.0
        for level in range(1, int(math.log2(min(height, width))) + 1):
            step = 2**level
            sides = (-(-height // step), -(-width // step))
            coarse = sample_noise(
                run_seed, f"pyramid_noise/{level}", indices, shape=(channels, *sides)
            )
            repeated = coarse.repeat_interleave(step, dim=2).repeat_interleave(step, dim=3)
            factor = cfg.pyramid_noise**level
            noise_BCHW = noise_BCHW + factor * repeated[:, :, :height, :width]
            variance += factor**2
        noise_BCHW = noise_BCHW / math.sqrt(variance)
    if cfg.noise_offset:
        offset = sample_noise(run_seed, "noise_offset", indices, shape=(channels, 1, 1))
        noise_BCHW = noise_BCHW + cfg.noise_offset * offset
    return noise_BCHW
