"""Transition tiles between two terrains: which there are, and how each is drawn.

corner  16 tiles, one for each choice of terrain at the four corners (Wang tiles with two corner
        colours; Cohen et al. 2003, Wang Tiles for Image and Texture Generation)
blob    47 tiles, one for each neighbourhood of a cell of terrain B among cells of A and B, where a
        corner counts only if both sides next to it are B; and one of A alone: 48

Both are drawn the same way. Terrain is known at nodes: at the corners, and for the blob set also at
the middles of the sides and of the tile. Between nodes it is interpolated, and where the value,
plus a little noise, exceeds one half the pixel is B. Pixels of a tile's edge lie on the line
between the edge's nodes, and the noise repeats from edge to edge: two tiles whose common edge has
the same terrain at its nodes have the same pixels of A and B along it.

Shape legend: H, W pixels; K nodes a side; 4 is red, green, blue and alpha.
"""

from enum import Enum

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8

from pipeline.core.seeds import derive_uniform

MAX_ROUGHNESS = 0.45
"""Below one half, or a pure edge would get pixels of the other terrain."""
LATTICE = 4
"""Noise values a side before it repeats."""


class WangKind(Enum):
    """Which tiles a set has."""

    corner = "corner"
    blob = "blob"


class Boundary(Enum):
    """How the line between the terrains looks."""

    hard = "hard"
    dither = "dither"
    outline = "outline"


def all_nodes(kind: WangKind) -> list[Int64[np.ndarray, "K K"]]:
    """Return each tile's terrain at its nodes, 0 is A and 1 is B; all A first, all B last."""
    if kind is WangKind.corner:
        bits = [[code >> i & 1 for i in range(4)] for code in range(16)]
        return [np.array([[nw, ne], [sw, se]]) for nw, ne, sw, se in bits]
    seen = {tuple(_blob_nodes(code).flat): _blob_nodes(code) for code in range(256)}
    return [np.zeros((3, 3), dtype=np.int64), *seen.values()]


def _blob_nodes(code: int) -> Int64[np.ndarray, "3 3"]:
    """Return the nodes of a B cell; bits of ``code`` are its eight neighbours, row by row."""
    around = [code >> i & 1 for i in range(8)]
    nodes_KK = np.array([*around[:4], 1, *around[4:]], dtype=np.int64).reshape(3, 3)
    for row in (0, 2):
        for column in (0, 2):
            nodes_KK[row, column] &= nodes_KK[row, 1] & nodes_KK[1, column]
    return nodes_KK


def terrain_mask(
    nodes_KK: Int64[np.ndarray, "K K"], *, size_px: int, roughness: float, seed: int, variant: int
) -> Bool[np.ndarray, "H W"]:
    """Return which pixels of a tile are B.

    Args:
        nodes_KK: Terrain at the nodes.
        size_px: Side of the tile, 2 or more.
        roughness: How far noise moves the line, 0 to ``MAX_ROUGHNESS``; terrain goes from 0 to 1
            between nodes.
        seed: Decides the noise; the same for all tiles of a set.
        variant: Decides how the noise differs inside the tile. It does not along the edges.
    """
    last = nodes_KK.shape[0] - 1
    value_HW = _interpolate(nodes_KK.astype(np.float64), _positions(size_px) * last)
    noise_HW = _noise(size_px, seed, variant=0)
    if variant:
        place = _positions(size_px)
        bump = 4 * place * (1 - place)
        noise_HW = noise_HW + np.outer(bump, bump) * _noise(size_px, seed, variant=variant)
    moved_HW = value_HW + roughness * np.clip(noise_HW, -1.0, 1.0)
    return np.greater(moved_HW, 0.5)


def draw_tile(
    a_HWC: UInt8[np.ndarray, "H W 4"],
    b_HWC: UInt8[np.ndarray, "H W 4"],
    mask_HW: Bool[np.ndarray, "H W"],
    boundary: Boundary,
) -> UInt8[np.ndarray, "H W 4"]:
    """Put B over A where the mask says so; only colours of the two tiles are used.

    ``dither`` trades every second pixel along the line, ``outline`` paints B's side of it in the
    darkest colour of both tiles (Rec. 709 luma).
    """
    line_HW = _line(mask_HW)
    if boundary is Boundary.dither:
        rows, columns = np.indices(mask_HW.shape)
        mask_HW = mask_HW ^ (line_HW & ((rows + columns) % 2 == 0))
    tile_HWC = np.where(mask_HW[..., None], b_HWC, a_HWC)
    if boundary is Boundary.outline:
        colours = np.concatenate([a_HWC.reshape(-1, 4), b_HWC.reshape(-1, 4)])
        luma = colours[:, :3] @ np.array([0.2126, 0.7152, 0.0722])
        tile_HWC[line_HW & mask_HW] = colours[int(luma.argmin())]
    return tile_HWC


def _line(mask_HW: Bool[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    """Return the pixels with a neighbour of the other terrain.

    Pixels of an edge look along the edge only: what they become then depends on that edge alone,
    and the tile beyond it comes to the same result.
    """
    line_HW = np.zeros_like(mask_HW)
    across = mask_HW[1:-1, 1:] != mask_HW[1:-1, :-1]
    down = mask_HW[1:, 1:-1] != mask_HW[:-1, 1:-1]
    line_HW[1:-1, 1:-1] |= across[:, :-1] | across[:, 1:] | down[:-1] | down[1:]
    for edge, out in (
        (mask_HW[0], line_HW[0]), (mask_HW[-1], line_HW[-1]),
        (mask_HW[:, 0], line_HW[:, 0]), (mask_HW[:, -1], line_HW[:, -1]),
    ):  # fmt: skip
        changes = edge[1:] != edge[:-1]
        out[1:-1] |= changes[:-1] | changes[1:]
    return line_HW


def _positions(size_px: int) -> Float64[np.ndarray, " H"]:
    """Return where pixels lie on a side, exactly 0 and 1 at the ends."""
    return np.arange(size_px) / (size_px - 1)


def _noise(size_px: int, seed: int, *, variant: int) -> Float64[np.ndarray, "H W"]:
    """Return smooth noise in [-1, 1] whose opposite edges are equal."""
    values = [2 * derive_uniform(seed, f"wang/{variant}", i) - 1 for i in range(LATTICE * LATTICE)]
    lattice = np.pad(np.array(values).reshape(LATTICE, LATTICE), (0, 1), mode="wrap")
    return _interpolate(lattice, _positions(size_px) * LATTICE)


def _interpolate(
    nodes_KK: Float64[np.ndarray, "K K"], at_H: Float64[np.ndarray, " H"]
) -> Float64[np.ndarray, "H H"]:
    """Interpolate between nodes with the smoothstep 3t^2 - 2t^3; exact at the nodes."""
    cell = np.minimum(at_H.astype(np.int64), nodes_KK.shape[0] - 2)
    t = at_H - cell
    weight = t * t * (3 - 2 * t)
    rows = nodes_KK[cell] * (1 - weight[:, None]) + nodes_KK[cell + 1] * weight[:, None]
    out: Float64[np.ndarray, "H H"] = rows[:, cell] * (1 - weight) + rows[:, cell + 1] * weight
    return out
