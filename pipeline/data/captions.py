"""Captions out of file names, and groups of near-identical siblings."""

import re

from pipeline.core.seeds import derive_permutation

SEPARATORS = re.compile(r"[\W_]+")
NUMBER = re.compile(r"\d+")
CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


def words(stem: str) -> list[str]:
    """Split a file name without its suffix into lower-case words, without numbers."""
    spaced = SEPARATORS.sub(" ", NUMBER.sub(" ", CAMEL.sub(" ", stem)))
    return spaced.lower().split()


def caption_of(stem: str) -> str:
    """Turn ``ruby_potion3`` into ``ruby potion``; a name of digits alone gives ""."""
    return " ".join(words(stem))


def group_of(folder: str, stem: str) -> str:
    """Return the group of a file, its folder and its name without numbers: frames stay together."""
    return f"{folder}/{' '.join(words(stem))}"


def shuffled_tags(caption: str, *, keep: int, run_seed: int, index: int) -> str:
    """Put comma-separated parts in an order that belongs to the position; the first stay."""
    tags = [tag.strip() for tag in caption.split(",")]
    head, rest = tags[:keep], tags[keep:]
    order = derive_permutation(run_seed, "tags", index, size=len(rest))
    return ", ".join([*head, *(rest[i] for i in order)])
