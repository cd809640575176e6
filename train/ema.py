"""An average of the weights over the images seen, with a half-life in images.

The half-life grows with the run at first, so that the untrained start is forgotten
(Karras et al. 2024, arXiv 2312.02696, section 3: the average should span a share of the run).
"""

from collections.abc import Mapping

import torch
from torch import Tensor

RAMP = 0.05
"""The half-life is at most this share of the images seen so far."""


def ema_decay(num_images: int, *, batch_size: int, half_life_images: int) -> float:
    """Return the share of the old average that stays after a step that ends at ``num_images``."""
    half_life = min(float(half_life_images), max(num_images * RAMP, 1e-8))
    return float(0.5 ** (batch_size / half_life))


class Ema:
    """Averages of named tensors, on their device, in fp32."""

    def __init__(self, named: Mapping[str, Tensor], *, half_life_images: int) -> None:
        self.half_life_images = half_life_images
        self._live = list(named.values())
        self.tensors = {name: t.detach().clone() for name, t in named.items()}

    @torch.no_grad()
    def update(self, num_images: int, *, batch_size: int) -> None:
        """Move the average towards the live values after a step that ends at ``num_images``."""
        decay = ema_decay(num_images, batch_size=batch_size, half_life_images=self.half_life_images)
        averages = list(self.tensors.values())
        torch._foreach_lerp_(averages, [t.detach() for t in self._live], 1 - decay)

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take saved averages."""
        for name, tensor in self.tensors.items():
            tensor.copy_(tensors[name])
