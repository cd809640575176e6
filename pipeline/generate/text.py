"""Text embeddings, each distinct caption computed once while it is in use."""

from collections import OrderedDict
from collections.abc import Sequence

import torch

from pipeline.models.protocol import Conditioning, LoadedModel

CAPACITY = 512
"""Captions kept. SDXL's take 0.6 MB each; prompts come in runs, so few are in use at a time."""


class TextCache:
    """Encodes captions one at a time, so that a caption's embedding never depends on its company.

    A batched call would be faster and would move the last bits with the number of prompts; an image
    could then not be made again from its own metadata.
    """

    def __init__(self, model: LoadedModel, *, capacity: int = CAPACITY) -> None:
        self.model = model
        self.capacity = capacity
        self._kept: OrderedDict[str, Conditioning] = OrderedDict()

    def clear(self) -> None:
        """Forget all: the text encoder or what it is told about the size has changed."""
        self._kept.clear()

    def conditioning(self, prompts: Sequence[str], negatives: Sequence[str]) -> Conditioning:
        """Return the rows of the prompts followed by those of the negatives (none: no guidance)."""
        rows = [self._one(caption) for caption in (*prompts, *negatives)]
        return {name: torch.cat([row[name] for row in rows]) for name in rows[0]}

    def _one(self, caption: str) -> Conditioning:
        if caption not in self._kept:
            self._kept[caption] = self.model.family.encode_text(self.model.pipeline, [caption])
            if len(self._kept) > self.capacity:
                self._kept.popitem(last=False)
        self._kept.move_to_end(caption)
        return self._kept[caption]
