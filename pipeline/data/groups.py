"""Which images belong together, and which groups are held out.

Siblings (frames, variants, recolourings) must not straddle training and validation: a validation
loss on the red one of two equal swords measures memory. Names tell some siblings, pixels others.
"""

from collections import Counter
from collections.abc import Sequence

import networkx as nx
import numpy as np
from jaxtyping import Bool, Int

from pipeline.core.seeds import derive_seed
from pipeline.data.sources.art import Pixels

SAME_STRUCTURE = 0.75
"""Cosine of two images' edges from which on they are siblings. Of the Crawl tiles, pairs above are
recolourings and frames; below 0.6 they begin to be merely alike: two hooded figures, two walls."""
LUMA = np.array([299, 587, 114])
"""Rec. 601 weights, times 1000."""
ROWS = 1024


def sibling_groups(names: Sequence[str], images: Sequence[Pixels]) -> list[str]:
    """Return a group's name for each image; equal names or equal structure are one group.

    Args:
        names: The group each image's source gave it.
        images: uint8 RGBA, all of one size.

    Returns:
        For each image the first name, in order of the alphabet, of all it is joined with.
    """
    graph: nx.Graph[str] = nx.Graph()
    graph.add_nodes_from(names)
    edges = _edges(images)
    length = np.sqrt(np.count_nonzero(edges, axis=1))
    for start in range(0, len(images), ROWS):
        block = slice(start, start + ROWS)
        # Sums of -1, 0 and 1: exact in float32, so no library's order of adding can change a group.
        shared = edges[block].astype(np.float32) @ edges.T.astype(np.float32)
        alike = (shared > 0) & (shared >= SAME_STRUCTURE * np.outer(length[block], length))
        left, right = np.nonzero(alike)
        pairs = zip((left + start).tolist(), right.tolist(), strict=True)
        graph.add_edges_from((names[i], names[j]) for i, j in pairs)
    first = {name: min(found) for found in nx.connected_components(graph) for name in found}
    return [first[name] for name in names]


def held_out(groups: Sequence[str], *, fraction: float, seed: int) -> Bool[np.ndarray, " n"]:
    """Say for each image whether it is for validation.

    Groups are drawn in an order that depends on ``seed`` and their names, and each is taken whole
    while it fits into ``fraction`` of the images.
    """
    sizes = Counter(groups)
    room = round(fraction * len(groups))
    taken: set[str] = set()
    for group in sorted(sizes, key=lambda name: (derive_seed(seed, f"split/{name}", 0), name)):
        if sizes[group] <= room:
            taken.add(group)
            room -= sizes[group]
    return np.array([group in taken for group in groups], dtype=bool)


def _edges(images: Sequence[Pixels]) -> Int[np.ndarray, "n k"]:
    """Return where brightness rises, falls or stays, down and across: what recolouring keeps."""
    rgba = np.stack(images).astype(np.int64)
    light = (rgba[..., :3] @ LUMA) * rgba[..., 3]
    flat = [np.sign(np.diff(light, axis=axis)).reshape(len(rgba), -1) for axis in (1, 2)]
    return np.concatenate(flat, axis=1).astype(np.int8)
