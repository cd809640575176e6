"""Randomness as a pure function of position, so that no generator state has to be saved.

Every random choice has a name (its *stream*) and an index. The index counts over all ranks, so a
choice does not move when a run is killed, resumed, or continued on another number of GPUs.
"""

import hashlib

import numpy as np
from jaxtyping import Int64


def derive_seed(run_seed: int, stream: str, index: int) -> int:
    """Derive the seed of one choice, the same whatever the world size.

    Args:
        run_seed: The seed the user set for the whole run.
        stream: What the randomness is for, such as ``"noise"``.
        index: Global index of the sample, counted over all ranks.

    Returns:
        An integer in [0, 2**63).
    """
    key = f"{run_seed}/{stream}/{index}".encode()
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big") >> 1


def derive_uniform(run_seed: int, stream: str, index: int) -> float:
    """Derive one number in [0, 1)."""
    return (derive_seed(run_seed, stream, index) >> 10) / (1 << 53)


def derive_permutation(
    run_seed: int, stream: str, index: int, *, size: int
) -> Int64[np.ndarray, " size"]:
    """Derive a permutation of ``range(size)``; ``index`` is usually the epoch. O(size)."""
    generator = np.random.Generator(np.random.Philox(key=derive_seed(run_seed, stream, index)))
    return generator.permutation(size).astype(np.int64)
