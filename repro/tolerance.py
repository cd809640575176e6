"""When two pictures are the same, though not to the byte.

A pixel differs when its OKLab distance from the recorded one is above ``STEP``, laid over black or
over white, whichever is worse: so alpha counts, and nothing hides on the ground. Two pictures are
the same when at most ``SHARE`` of their pixels differ.

A tenth is five times what is just noticeable, and a change of one level in every byte never reaches
it (0.085 at most, in black). Measured with the ten pictures of the smoke test on one CPU, share of
pixels in the worst of them: sums in another order (batches of 10, ``MKL_CBWR=COMPATIBLE``) 0 %;
bfloat16, coarser than the TF32 that a GPU may take for float32, 0.3 %; noise of two levels 0.2 %.
What must be found, in the nearest of the ten: another seed 17 %, another picture's prompt 50 %; in
the farthest, since one is enough: 24 steps for 25 5 %, guidance of 3.1 for 3 6 %, " icon" behind
every prompt 76 %, a LoRA at a quarter of its weight 44 %. Not measured on a GPU.

Shape legend: H W height width.
"""

import numpy as np
import torch
from jaxtyping import UInt8

from eval.similarity import over_ground
from pipeline.pixels.oklab import distance2, squared, to_oklab

STEP = 0.1
"""OKLab distance above which a pixel differs."""
SHARE = 0.03
"""Share of pixels that may differ in pictures that are the same."""
GROUNDS = ((0, 0, 0), (255, 255, 255))

Pixels = UInt8[np.ndarray, "H W 4"]


def differing_share(left: Pixels, right: UInt8[np.ndarray, "K L 4"]) -> float:
    """Return the share of pixels that differ, 0 to 1; 1 where the sizes do."""
    if left.shape != right.shape:
        return 1.0
    differs = np.zeros(left.shape[:2], dtype=bool)
    for ground in GROUNDS:
        one, other = (
            to_oklab(torch.from_numpy(np.round(over_ground(side, ground)).astype(np.uint8)))
            for side in (left, right)
        )
        differs |= (distance2(one, other) > squared(STEP)).numpy()
    return float(differs.mean())
