"""Captions out of file names, and groups of near-identical siblings."""

import re

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
