"""What the loader hands to the trainer."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """One micro-batch of one rank."""

    pixels_BCHW: Float[Tensor, "B C H W"]
    """In [-1, 1]; 4 channels premultiplied RGBA or 3 channels RGB; on the rank's device."""
    captions: list[str]
    """After dropout: "" trains the unconditional."""
    indices: list[int]
    """Global indices: position in the run's stream, over all ranks."""
    sample_ids: list[int]
    """Which image of the split each one is."""
    alpha_B1HW: Float[Tensor, "B 1 H W"] | None = None
    """Opacity, 0 to 1, where it was asked for."""
    loss_weights: list[float] | None = None
    """What each sample counts in a loss, where not all count 1."""
