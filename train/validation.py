"""The loss on images the run does not train on, with noise and timesteps that never change."""

from collections.abc import Callable

import torch
from accelerate import Accelerator

from pipeline.core.noise import sample_noise, sample_timesteps
from pipeline.core.world import World
from pipeline.data.batch import Batch
from train.step import Objective

SEED = 0
"""Not the run's seed: figures of two runs are comparable."""


@torch.no_grad()
def validation_loss(
    objective: Objective,
    fixed: Callable[[list[int]], Batch],
    *,
    num_images: int,
    batch_size: int,
    world: World,
    accelerator: Accelerator,
) -> float:
    """Collective: mean weighted loss over the first ``num_images`` validation images.

    Batches are cut by index and whole batches dealt to ranks, so that the figure does not depend on
    the number of ranks beyond the last bits of a sum.
    """
    model = objective.model
    starts = range(0, num_images, batch_size)
    total = torch.zeros((), device=accelerator.device, dtype=torch.float64)
    for turn in world.deal(len(starts)):
        indices = list(range(starts[turn], min(starts[turn] + batch_size, num_images)))
        noise_BCHW = sample_noise(SEED, "validation_noise", indices, shape=model.latent_shape)
        timesteps_B = sample_timesteps(
            SEED, "validation_timestep", indices, num_timesteps=len(model.alphas_cumprod)
        )
        batch = fixed(indices)
        with accelerator.autocast():
            losses_B = objective(
                pixels_BCHW=batch.pixels_BCHW.to(accelerator.device),
                captions=batch.captions,
                noise_BCHW=noise_BCHW.to(accelerator.device),
                timesteps_B=timesteps_B.to(accelerator.device),
                posterior_BCHW=None,
                alpha_B1HW=(
                    None if batch.alpha_B1HW is None else batch.alpha_B1HW.to(accelerator.device)
                ),
            )
        total += losses_B.double().sum()
    summed = accelerator.reduce(total, reduction="sum")
    return float(summed.item()) / num_images
