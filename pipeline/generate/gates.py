"""Which images are turned away and drawn again: near-duplicates, and pictures all but empty.

A decision about a round of images is a function of all their records, so every rank comes to the
same one without a word between them.

Shape legend: H W height and width, C channels.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from pipeline.generate.conf import GateConfig

HASH_SIDE = 8
HASH_BITS = 4 * HASH_SIDE * HASH_SIDE
HUE_MARGIN = 8
"""Of 255: what counts as rather red than green."""


@dataclass(frozen=True, slots=True)
class Looks:
    """What the gates know of an image."""

    hash: int
    """256-bit difference hash."""
    coverage: float
    """Share of visible pixels, 0 to 1."""
    passes: bool = True
    """What finishing's verdict says."""


def looks_of(pixels_HWC: UInt8[np.ndarray, "H W C"]) -> Looks:
    """Measure an image, RGB or straight-alpha RGBA.

    The picture, colour premultiplied, is averaged to 8x8 cells. A quarter of the bits each says:
    a cell is brighter than its left neighbour; it covers more than it (both as in the difference
    hash, Krawetz 2013, "Kind of like that"); it is rather red than green; it is rather blue than
    yellow. Colour counts since sprites of one shape differ in it.
    """
    rgba_HWC = np.array(Image.fromarray(pixels_HWC).convert("RGBA"), dtype=np.uint16)
    alpha_HW = rgba_HWC[..., 3]
    rgba_HWC[..., :3] = rgba_HWC[..., :3] * alpha_HW[..., None] // 255
    # One channel at a time: as RGBA, Pillow would weigh colour by alpha once more.
    red, green, blue, alpha = (
        np.array(
            Image.fromarray(channel_HW).resize((HASH_SIDE + 1, HASH_SIDE), Image.Resampling.BOX),
            dtype=np.int16,
        )
        for channel_HW in rgba_HWC.astype(np.uint8).transpose(2, 0, 1)
    )
    light = red + green + blue
    bits = (
        light[:, 1:] > light[:, :-1],
        alpha[:, 1:] > alpha[:, :-1],
        (red - green)[:, 1:] > HUE_MARGIN,
        (2 * blue - red - green)[:, 1:] > 2 * HUE_MARGIN,
    )
    packed = np.packbits(np.stack(bits).reshape(-1))
    return Looks(int.from_bytes(packed.tobytes(), "big"), float((alpha_HW > 0).mean()))


class NearIndex:
    """Finds whether a hash lies near one that was added before. Exact, about linear in all.

    Two hashes of at most ``max_bits`` differing bits agree in at least one of ``max_bits + 1``
    bands (pigeonhole), so only those that share a band are compared.
    """

    def __init__(self, max_bits: int) -> None:
        self.max_bits = max_bits
        num_bands = max_bits + 1
        # Every so-manieth bit, not neighbours: a band of bits that are alike in all pictures (the
        # alpha of tiles) would hold them all.
        self._bands = [
            sum(1 << bit for bit in range(band, HASH_BITS, num_bands)) for band in range(num_bands)
        ]
        self._tables: list[dict[int, list[int]]] = [{} for _ in self._bands]

    def has_near(self, value: int) -> bool:
        """Whether a hash within ``max_bits`` was added."""
        for key, table in zip(self._keys(value), self._tables, strict=True):
            for other in table.get(key, ()):
                if (value ^ other).bit_count() <= self.max_bits:
                    return True
        return False

    def add(self, value: int) -> None:
        """Add a hash."""
        for key, table in zip(self._keys(value), self._tables, strict=True):
            table.setdefault(key, []).append(value)

    def _keys(self, value: int) -> list[int]:
        return [value & band for band in self._bands]


def is_good(looks: Looks, cfg: GateConfig) -> bool:
    """Whether an image passes by itself."""
    is_right = looks.passes or not cfg.require_pass
    return is_right and cfg.min_coverage <= looks.coverage <= cfg.max_coverage


def due(
    cfg: GateConfig,
    indices: Iterable[int],
    *,
    attempt: int,
    looks: Callable[[int, int], Looks],
) -> list[int]:
    """Return what has to be drawn in a round, sorted.

    What was accepted in an earlier round stays; among the images of one round the lower index goes
    first.

    Args:
        cfg: The gates.
        indices: All images of the run, sorted.
        attempt: The round, 0 the first.
        looks: Image and round to what it looked like; known for all that was due before.
    """
    turned_away: Sequence[int] = list(indices)
    accepted = NearIndex(cfg.near_duplicate_bits) if cfg.near_duplicate_bits >= 0 else None
    for past in range(attempt):
        candidates, turned_away = turned_away, []
        for index in candidates:
            seen = looks(index, past)
            if not is_good(seen, cfg) or (accepted and accepted.has_near(seen.hash)):
                turned_away.append(index)
            elif accepted:
                accepted.add(seen.hash)
    return list(turned_away)
