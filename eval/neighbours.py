"""How near images lie to the art a model was trained on: copies lie nearer than held-out art.

Shape legend: M, N images; H W height width.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int, UInt8

ROWS = 64


def nearest(
    images: Sequence[UInt8[np.ndarray, "H W 4"]], among: Sequence[UInt8[np.ndarray, "H W 4"]]
) -> tuple[Float[np.ndarray, " M"], Int[np.ndarray, " M"]]:
    """Find for each image the nearest of ``among``, as it is or mirrored.

    The distance is the root mean square over pixels and channels of premultiplied RGBA, 0 to 1: 0
    is a copy. O(M N H W).

    Returns:
        Distance and index of each image's nearest.
    """
    targets = np.concatenate([_flat(among), _flat([image[:, ::-1] for image in among])])
    norms = np.square(targets).sum(axis=1)
    distances, indices = [], []
    for start in range(0, len(images), ROWS):
        block = _flat(images[start : start + ROWS])
        squared = np.square(block).sum(axis=1)[:, None] + norms - 2 * (block @ targets.T)
        found = squared.argmin(axis=1)
        # Once more by differences: what cancels in the products above is all there is of a copy.
        exact = np.square(block - targets[found]).mean(axis=1)
        distances.append(np.sqrt(exact))
        indices.append(found % len(among))
    return np.concatenate(distances), np.concatenate(indices)


def _flat(images: Sequence[UInt8[np.ndarray, "H W 4"]]) -> Float[np.ndarray, "N k"]:
    rgba = np.stack(images).astype(np.float64) / 255
    rgba[..., :3] *= rgba[..., 3:]
    return rgba.reshape(len(rgba), -1)
