"""Several data sets as one stream: which set, and which of its images, belongs to a position.

Of every ``sum of weights`` positions in a row each set has exactly its weight, in an order drawn
for each such round. A set's own positions, put one after the other, are its epochs: every image
once, then every image again. All of it is a function of seed and position.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from jaxtyping import Int64

from pipeline.core.errors import InputError
from pipeline.core.seeds import derive_permutation
from pipeline.data.conf import DataConfig
from pipeline.data.dataset import Dataset, Split


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One set's share of the stream."""

    num_samples: int
    weight: int = 1
    flip_ok: bool = True
    trigger: str = ""
    loss_weight: float = 1.0


class Mixture:
    """The stream of the positions of one run over all its sets."""

    def __init__(self, parts: Sequence[Part], *, run_seed: int) -> None:
        self.parts = parts
        self.run_seed = run_seed
        self._slots = [0, *accumulate(part.weight for part in parts)]
        self._samples = [0, *accumulate(part.num_samples for part in parts)]
        self._kept: dict[str, tuple[int, Int64[np.ndarray, " n"]]] = {}
        """The last permutation of each stream: positions come in order."""

    def at(self, index: int) -> tuple[int, int]:
        """Return which part a position belongs to, and which image, numbered over all parts."""
        part, turn = self._turn(index)
        size = self.parts[part].num_samples
        epoch, offset = divmod(turn, size)
        stream = f"shuffle/{part}" if part else "shuffle"
        return part, self._samples[part] + int(self._permutation(stream, epoch, size)[offset])

    def _turn(self, index: int) -> tuple[int, int]:
        """Return the part, and how many positions of it, in its own count, came before."""
        if len(self.parts) == 1:
            return 0, index
        period, place = divmod(index, self._slots[-1])
        slot = int(self._permutation("mixture", period, self._slots[-1])[place])
        part = bisect_right(self._slots, slot) - 1
        return part, period * self.parts[part].weight + slot - self._slots[part]

    def _permutation(self, stream: str, index: int, size: int) -> Int64[np.ndarray, " n"]:
        kept = self._kept.get(stream)
        if kept is None or kept[0] != index:
            kept = index, derive_permutation(self.run_seed, stream, index, size=size)
            self._kept[stream] = kept
        return kept[1]


def join_sets(cfg: DataConfig, first: Dataset) -> tuple[Split, list[Part], list[str]]:
    """Open the training images of all sets.

    Returns:
        All images, each set's share, and the sets' digests and settings as a run's identity.

    Raises:
        InputError: A set is missing, has no training images, or images of another side.
    """
    split = first.split("train")
    splits = [split]
    parts = [Part(num_samples=len(split), weight=cfg.weight, flip_ok=first.flip_ok,
                  trigger=cfg.trigger)]  # fmt: skip
    told = []
    for number, more in enumerate(cfg.more):
        try:
            dataset = Dataset.open(more.path)
        except InputError as error:
            told_of = str(error).removeprefix("data.path: ")
            raise InputError(f"data.more: {told_of}") from None
        if dataset.size_px != first.size_px:
            raise InputError(
                f"data.more: {more.path} holds images of {dataset.size_px} px, {cfg.path} of "
                f"{first.size_px} px"
            )
        split = dataset.split("train")
        if not len(split):
            raise InputError(f"data.more: {more.path} has no training images")
        part = Part(num_samples=len(split), weight=more.weight, flip_ok=dataset.flip_ok,
                    trigger=more.trigger, loss_weight=more.loss_weight)  # fmt: skip
        splits.append(split)
        parts.append(part)
        told.append(f"{number}: {dataset.digest} {part}")
    return Split.joined(splits), parts, told


def told_shares(cfg: DataConfig, parts: Sequence[Part]) -> Iterator[str]:
    """Yield a line a set: its share, and how long an epoch of it takes in the whole stream."""
    total = sum(part.weight for part in parts)
    for path, part in zip([cfg.path, *(more.path for more in cfg.more)], parts, strict=True):
        epoch = -(-part.num_samples * total // part.weight)
        yield (
            f"{path}: {part.weight} of {total} images, counting {part.loss_weight} in the loss; "
            f"each of its {part.num_samples} once in about {epoch} images of the run"
        )
