"""Trading colour channels: a red potion becomes a blue one, and its caption says so.

``channels`` names, for each of red, green and blue, the stored channel it is taken from.
"""

import re

WORD = re.compile(r"[^\W\d_]+")

Channels = tuple[int, int, int]

AS_THEY_ARE: Channels = (0, 1, 2)
RECOLOURINGS: tuple[Channels, ...] = ((0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))

MIXTURES = {
    "red": {0},
    "green": {1},
    "blue": {2},
    "yellow": {0, 1},
    "cyan": {1, 2},
    "magenta": {0, 2},
    "purple": {0, 2},
}
"""Colour words that are still colour words when channels trade places."""

NAMES = {frozenset(mixture): name for name, mixture in reversed(MIXTURES.items())}

OTHERS = {
    *("amber", "azure", "brass", "bronze", "brown", "cobalt", "copper", "crimson", "emerald"),
    *("gold", "golden", "jade", "orange", "pink", "puce", "redbrown", "ruby", "sky", "tan"),
    *("tourmaline", "turquoise"),
}
"""Colour words that have no name once channels have traded places."""


def recoloured_caption(caption: str, channels: Channels, *, word: str) -> str:
    """Rename the colours of a caption as the channels move.

    Args:
        caption: What the image showed before.
        channels: How its channels trade places.
        word: Put at the end where renaming does not tell all: the caption names no colour, or one
            that has no name any more.
    """
    found = {each.lower() for each in WORD.findall(caption)}
    told = WORD.sub(lambda match: _renamed(match.group(), channels), caption)
    says_all = found & MIXTURES.keys() and not found & OTHERS
    return told if says_all or not word else f"{told} {word}"


def turned_caption(caption: str, *, word: str) -> str:
    """Leave colour words out of the caption of an image whose hues were turned, and say so."""
    kept = [each for each in caption.split() if not _is_colour(each)]
    return " ".join([*kept, *([word] if word else [])])


def _is_colour(word: str) -> bool:
    return not (MIXTURES.keys() | OTHERS).isdisjoint(WORD.findall(word.lower()))


def _renamed(word: str, channels: Channels) -> str:
    mixture = MIXTURES.get(word.lower())
    if mixture is None:
        return word
    return NAMES[frozenset(channels.index(stored) for stored in mixture)]
