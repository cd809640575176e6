"""How pictures are shown to a network: on grey, enlarged by a whole number, nearest neighbour.

Shape legend: N images, h w enlarged height and width.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from eval.batches import Picture, factor
from eval.similarity import PEAK, over_ground

Shown = Float32[Tensor, "N 3 h w"]


def enlarged(images: Sequence[Picture], *, at_least_px: int) -> Shown:
    """Lay pictures of one size over grey and enlarge them until the short side is long enough.

    Returns:
        Colour, 0..255.
    """
    colours = np.stack([over_ground(image) for image in images]).astype(np.float32)
    by = factor(colours.shape[1], colours.shape[2], at_least_px)
    shown = torch.from_numpy(colours).permute(0, 3, 1, 2)
    return shown.repeat_interleave(by, dim=2).repeat_interleave(by, dim=3)


def signed(shown: Shown) -> Shown:
    """Bring 0..255 to -1..1."""
    return shown / (PEAK / 2) - 1
