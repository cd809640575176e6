"""Where rectangles go on pages: a grid for equal ones, MaxRects for others.

MaxRects with the rule "best short side fit" (Jylanki 2010, A Thousand Ways to Pack the Bin). The
usual package for it, rectpack, has had no release since 2021, so these few lines are our own.
Everything is decided by sizes and order: equal input gives equal output.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64


@dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """One page."""

    width_px: int
    height_px: int
    columns: int = 0
    """Cells in a row of a grid; 0 when the page is no grid."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spot:
    """Where one rectangle went."""

    page: int
    x_px: int
    y_px: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Packing:
    """Pages, and one spot a rectangle in the order they were given."""

    boxes: list[Box]
    spots: list[Spot]


def pack(
    sizes_px: Sequence[tuple[int, int]],
    *,
    max_px: int,
    padding_px: int,
    pot: bool,
    edge_px: int = 0,
) -> Packing:
    """Place rectangles on as few pages as the heuristic finds, none turned.

    Args:
        sizes_px: Width and height of each, at least one, none longer than ``max_px``.
        max_px: Longest side of a page; a power of two when ``pot``.
        padding_px: Free pixels between two rectangles; none at the page's border.
        pot: Pages have sides that are powers of two.
        edge_px: How much of a rectangle's border is not its picture (extrusion). Grid pages are
            chosen so that a reader who counts pictures in a row counts no cut one.

    Raises:
        ValueError: Nothing to pack, or a rectangle larger than a page.
    """
    if not sizes_px or max(max(size) for size in sizes_px) > max_px:
        raise ValueError(f"rectangles of 1 to {max_px} px are needed, at least one")
    if len(set(sizes_px)) == 1:
        return _pack_grid(
            len(sizes_px), sizes_px[0], max_px=max_px, padding_px=padding_px, pot=pot,
            edge_px=edge_px,
        )  # fmt: skip
    return _pack_mixed(sizes_px, max_px=max_px, padding_px=padding_px, pot=pot)


def _pack_grid(
    count: int, size_px: tuple[int, int], *, max_px: int, padding_px: int, pot: bool, edge_px: int
) -> Packing:
    boxes: list[Box] = []
    spots: list[Spot] = []
    pitch_x, pitch_y = size_px[0] + padding_px, size_px[1] + padding_px
    while len(spots) < count:
        left = count - len(spots)
        box = _grid_box(
            left, (pitch_x, pitch_y), max_px=max_px, padding_px=padding_px, pot=pot, edge_px=edge_px
        )
        capacity = box.columns * ((box.height_px + padding_px) // pitch_y)
        for cell in range(min(left, capacity)):
            row, column = divmod(cell, box.columns)
            spots.append(Spot(page=len(boxes), x_px=column * pitch_x, y_px=row * pitch_y))
        boxes.append(box)
    return Packing(boxes=boxes, spots=spots)


def _grid_box(
    count: int, pitch_px: tuple[int, int], *, max_px: int, padding_px: int, pot: bool, edge_px: int
) -> Box:
    """Return the smallest grid page that holds ``count`` cells, or the fullest one there is."""
    pitch_x, pitch_y = pitch_px

    def exact(side_px: int, pitch: int) -> bool:
        return (side_px + padding_px + edge_px) // pitch == (side_px + padding_px) // pitch

    fitting = []
    most = (max_px + padding_px) // pitch_x
    widths = _powers(max_px) if pot else [c * pitch_x - padding_px for c in range(1, most + 1)]
    for width in widths:
        columns = (width + padding_px) // pitch_x
        if columns and exact(width, pitch_x):
            height = -(-count // columns) * pitch_y - padding_px
            if pot:
                tall = (p for p in _powers(max_px) if p >= height and exact(p, pitch_y))
                height = next(tall, max_px + 1)
            if height <= max_px:
                # Powers of two leave room over: least area first. Else the squarest.
                area, longest = width * height, max(width, height)
                first = (area, longest) if pot else (longest, area)
                fitting.append((first, height, width, columns))
    if fitting:
        _, height, width, columns = min(fitting)
        return Box(width_px=width, height_px=height, columns=columns)
    rows = (max_px + padding_px) // pitch_y
    if pot:
        return Box(width_px=max_px, height_px=max_px, columns=most)
    width, height = most * pitch_x - padding_px, rows * pitch_y - padding_px
    return Box(width_px=width, height_px=height, columns=most)


def _pack_mixed(
    sizes_px: Sequence[tuple[int, int]], *, max_px: int, padding_px: int, pot: bool
) -> Packing:
    grown = [(width + padding_px, height + padding_px) for width, height in sizes_px]
    # Long sides first: what is left over is small and finds room.
    left = sorted(range(len(grown)), key=lambda i: (-max(grown[i]), -min(grown[i]), i))
    boxes: list[Box] = []
    spots: dict[int, Spot] = {}
    while left:
        area_px = sum(grown[i][0] * grown[i][1] for i in left)
        for width, height in _page_sizes(max_px, area_px=area_px, pot=pot):
            placed = _fill_page(grown, left, (width + padding_px, height + padding_px))
            if len(placed) == len(left):
                break
        for i, (x, y) in placed.items():
            spots[i] = Spot(page=len(boxes), x_px=x, y_px=y)
        if not pot:
            width = max(x + sizes_px[i][0] for i, (x, _) in placed.items())
            height = max(y + sizes_px[i][1] for i, (_, y) in placed.items())
        boxes.append(Box(width_px=width, height_px=height))
        left = [i for i in left if i not in placed]
    return Packing(boxes=boxes, spots=[spots[i] for i in range(len(sizes_px))])


def _page_sizes(max_px: int, *, area_px: int, pot: bool) -> Iterator[tuple[int, int]]:
    """Yield page sizes by area, squarest first, none too small; the largest last."""
    steps = (4,) if pot else (4, 5, 6, 7)
    sides = sorted({max_px} | {side * step // 4 for side in _powers(max_px) for step in steps})
    sizes = sorted(
        ((w, h) for w in sides for h in sides if h <= w <= min(2 * h, max_px)),
        key=lambda size: (size[0] * size[1], size[0]),
    )
    # Padding at the page's far borders is not there: allow for it.
    enough = [size for size in sizes if 2 * size[0] * size[1] >= area_px]
    yield from enough[:-1] if enough else []
    yield max_px, max_px


def _fill_page(
    sizes_px: Sequence[tuple[int, int]], order: Sequence[int], page_px: tuple[int, int]
) -> dict[int, tuple[int, int]]:
    """Place what fits, in order; return the place of each that did."""
    room = MaxRects(*page_px)
    placed = {}
    full: set[tuple[int, int]] = set()
    for i in order:
        # Room only shrinks: what did not fit once never will.
        if sizes_px[i] in full:
            continue
        spot = room.insert(*sizes_px[i])
        if spot is None:
            full.add(sizes_px[i])
        else:
            placed[i] = spot
    return placed


class MaxRects:
    """Free room of one page as all its largest free rectangles, which may overlap.

    Args:
        width_px: Page width.
        height_px: Page height.
    """

    def __init__(self, width_px: int, height_px: int) -> None:
        self.free_N4: Int64[np.ndarray, "N 4"] = np.array(
            [[0, 0, width_px, height_px]], dtype=np.int64
        )
        """Left, top, right, bottom, the latter two exclusive."""

    def insert(self, width_px: int, height_px: int) -> tuple[int, int] | None:
        """Place a rectangle where it leaves the shortest side over; None when it fits nowhere."""
        free = self.free_N4
        over_w = free[:, 2] - free[:, 0] - width_px
        over_h = free[:, 3] - free[:, 1] - height_px
        fits = np.flatnonzero((over_w >= 0) & (over_h >= 0))
        if not len(fits):
            return None
        short, long = np.minimum(over_w, over_h)[fits], np.maximum(over_w, over_h)[fits]
        best = fits[np.lexsort((free[fits, 0], free[fits, 1], long, short))[0]]
        x, y = int(free[best, 0]), int(free[best, 1])
        self._take(x, y, x + width_px, y + height_px)
        return x, y

    def _take(self, x0: int, y0: int, x1: int, y1: int) -> None:
        free = self.free_N4
        hit = (free[:, 0] < x1) & (free[:, 2] > x0) & (free[:, 1] < y1) & (free[:, 3] > y0)
        old = free[hit]
        parts = []
        for column, cut in ((2, x0), (3, y0), (0, x1), (1, y1)):
            part = old.copy()
            part[:, column] = cut
            parts.append(part)
        new = np.concatenate(parts)
        new = np.unique(new[(new[:, 2] > new[:, 0]) & (new[:, 3] > new[:, 1])], axis=0)
        kept = free[~hit]
        new = new[~_inside(new, kept).any(axis=1)]
        among = _inside(new, new)
        np.fill_diagonal(among, val=False)
        self.free_N4 = np.concatenate([kept, new[~among.any(axis=1)]])


def _inside(
    inner_N4: Int64[np.ndarray, "N 4"], outer_M4: Int64[np.ndarray, "M 4"]
) -> Bool[np.ndarray, "N M"]:
    """Return which inner rectangle lies within which outer one."""
    a, b = inner_N4[:, None], outer_M4[None]
    starts = (a[..., :2] >= b[..., :2]).all(axis=-1)
    ends = (a[..., 2:] <= b[..., 2:]).all(axis=-1)
    return np.logical_and(starts, ends)


def _powers(max_px: int) -> list[int]:
    return [1 << bit for bit in range(max_px.bit_length())]
