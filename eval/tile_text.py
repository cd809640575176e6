"""How well a 32x32 picture fits its prompt, where no CLIP is to be had: ``tile_text``.

The picture's EfficientNet-Lite0 features and the prompt's words go through one matrix each into a
common space; the score is the cosine there. The matrices are the canonical correlations (Hotelling
1936) of pictures and captions of two CC0 data sets: ``eval/tile_text_train.py`` makes them,
``eval/assets/tile_text.json`` says how good they are, ``docs/tile_text.md`` what the score is not.
It is no CLIPScore, and knows only words of dungeon art.

Pixelnano's own text encoder is not used: it is part of what the score has to judge.

Shape legend: N pictures, D features, T text features, K dimensions of the common space.
"""

import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64
from safetensors.numpy import load_file

from eval.batches import Picture
from eval.features import Features
from eval.metric import MetricInfo, Scope
from eval.weights import Pinned, find

ASSETS = Path(__file__).parent / "assets"
HEAD = Pinned(
    name="tile_text.safetensors",
    sha256="24a40fb20e1ce1b14b5be1ab8dc6db51db4384539aefa81e6ed20dffb2c39f45",
)
BLOCK = 256
"""Pictures held at a time."""
NUM_TEXT = 1024
"""Text features: pieces of words fall into that many bins."""
PIECE_CHARS = (3, 4)
"""Pieces of a word beside the word itself: so a new word is near those that look like it."""

METRICS = (
    MetricInfo(
        name="tile_text",
        unit="",
        higher_is_better=True,
        scope=Scope.image,
        formula="cosine, -1..1, of A f - a and B t - b; f the picture's EfficientNet-Lite0 "
        "features, t the prompt's hashed words and pieces of them; NaN for a prompt without a word",
        source="this project: canonical correlations (Hotelling 1936) on CC0 dungeon art; "
        "no CLIPScore; docs/tile_text.md",
        needs="the eval extra",
    ),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """The two maps into the common space."""

    image: Float32[np.ndarray, "D K"]
    image_offset: Float32[np.ndarray, " K"]
    text: Float32[np.ndarray, "T K"]
    text_offset: Float32[np.ndarray, " K"]

    def pictures(self, features: Features) -> Float64[np.ndarray, "N K"]:
        """Return unit vectors of pictures' features."""
        return _unit(features.astype(np.float64) @ self.image - self.image_offset)

    def texts(self, texts: Sequence[str]) -> Float64[np.ndarray, "N K"]:
        """Return unit vectors of texts; NaN for one without a word."""
        found = text_features(texts)
        placed = _unit(found @ self.text - self.text_offset)
        placed[~found.any(axis=1)] = np.nan
        return placed


class TileText:
    """Scores pictures against their prompts.

    Args:
        features: Of the pictures, as ``eval.objective.open_features`` gives them.
        folder: Where the head lies.

    Raises:
        UnavailableError: The head is not there, or is another one.
    """

    def __init__(
        self, features: Callable[[Sequence[Picture]], Features], folder: Path = ASSETS
    ) -> None:
        self.features = features
        self.head = read_head(folder)

    def __call__(
        self, images: Sequence[Picture], texts: Sequence[str]
    ) -> dict[str, Float64[np.ndarray, " N"]]:
        """Return ``tile_text`` of each picture, -1..1.

        Raises:
            ValueError: There is not one text a picture.
        """
        if len(images) != len(texts):
            raise ValueError(f"{len(images)} pictures cannot be paired with {len(texts)} texts")
        scores = np.empty(len(images))
        # In blocks: what lies between is 4,000 numbers a picture, and the result is one.
        for start in range(0, len(images), BLOCK):
            rows = range(start, min(start + BLOCK, len(images)))
            pictures = self.head.pictures(self.features([images[i] for i in rows]))
            placed = self.head.texts([texts[i] for i in rows])
            scores[rows.start : rows.stop] = (pictures * placed).sum(axis=1)
        return {"tile_text": scores}


def read_head(folder: Path = ASSETS) -> Head:
    """Read the pinned head.

    Raises:
        UnavailableError: It is not there, or has other bytes.
    """
    how = f"git checkout eval/assets/{HEAD.name}"
    (path,) = find("tile_text", [HEAD], [folder], how=how)
    return Head(**{name: part.astype(np.float32) for name, part in load_file(path).items()})


def text_features(texts: Sequence[str]) -> Float64[np.ndarray, "N T"]:
    """Return unit counts of words and pieces in ``NUM_TEXT`` bins; zero without a word.

    Signed hashing (Weinberger et al. 2009, arXiv 0902.2206): what shares a bin by chance cancels
    out in the mean.
    """
    found = np.zeros((len(texts), NUM_TEXT))
    for row, text in zip(found, texts, strict=True):
        for piece in _pieces(text):
            digest = zlib.crc32(piece.encode())
            row[digest % NUM_TEXT] += 1.0 if digest >> 31 else -1.0
    return _unit(found)


def _pieces(text: str) -> Iterator[str]:
    for word in re.findall(r"\w+", text.lower()):
        yield f"w{word}"
        marked = f"<{word}>"
        for length in PIECE_CHARS:
            for start in range(len(marked) - length + 1):
                yield marked[start : start + length]


def _unit(rows: Float64[np.ndarray, "N K"]) -> Float64[np.ndarray, "N K"]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: Float64[np.ndarray, "N K"] = rows / np.where(lengths > 0, lengths, 1.0)
    return scaled
