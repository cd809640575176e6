"""Asset names: ``{category}_{name}_{variant}_{frame}``, ASCII, unique, the same every time.

category  the last word of the prompt that is listed in CATEGORIES; ``sprite`` when there is none
name      the prompt's words joined by ``-``, without the word that is the category itself, at most
          40 characters; a prompt that lost its letters or was cut ends in 8 hex digits of its hash
variant   the number of the prompt's image (``seed_number``)
frame     frame of an animation; 0 for a generated image

Fields never hold ``_``, so a name splits into its four fields. Of two sprites with the same fields
the later one's name gets ``-2``, ``-3`` and so on; the earlier one keeps its own.
"""

import hashlib
import re
import string
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.core.errors import InputError

MAX_NAME_CHARS = 40
MAX_ASSET_CHARS = 120
FIELDS = ("category", "name", "variant", "frame", "index")

_ITSELF = (
    "altar amulet armour boots character cloak door effect food gateway gem gloves gold helmet icon"
    " item monster potion ring rod rune scroll shield shop staff statue tile trap tree wand weapon"
)
_OTHERS = {
    "armour": "armor robe mail",
    "book": "book books tome",
    "effect": "cloud explosion stain",
    "food": "apple bread cheese fruit meat",
    "gateway": "portal",
    "gem": "gems crystal jewel",
    "gold": "coin coins",
    "helmet": "headgear hat cap",
    "tile": "tiles floor wall ground terrain",
    "tree": "trees",
    "weapon": "sword dagger axe mace spear halberd bow longbow crossbow whip sling trident",
}
CATEGORIES = {word: word for word in _ITSELF.split()} | {
    word: category for category, words in _OTHERS.items() for word in words.split()
}
"""Word of a prompt to category."""

_LEGAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NAMED = re.compile(r"([a-z0-9-]+)_([a-z0-9-]+)_(\d{1,9})_(\d{1,9})")


@dataclass(frozen=True, kw_only=True, slots=True)
class Label:
    """The fields of one asset name."""

    category: str
    name: str
    variant: int
    frame: int
    index: int
    """Position in the export, counted from 0."""

    @property
    def group(self) -> str:
        """Name shared by all frames of one animation."""
        return f"{self.category}_{self.name}_{self.variant}"


def label_of_prompt(prompt: str, *, variant: int, index: int) -> Label:
    """Return the fields for a generated image. Any text is allowed, the empty one too."""
    words = _words(prompt)
    known = next((word for word in reversed(words) if word in CATEGORIES), None)
    category = CATEGORIES[known] if known else "sprite"
    kept = [word for word in words if word != category] or words
    name = "-".join(kept)
    lost = not name
    if len(name) > MAX_NAME_CHARS:
        name, lost = name[: MAX_NAME_CHARS - 9].rstrip("-"), True
    if lost:
        digest = hashlib.blake2b(prompt.encode("utf-8", "surrogatepass"), digest_size=4)
        name = "-".join(part for part in (name, digest.hexdigest()) if part)
    return Label(category=category, name=name, variant=variant, frame=0, index=index)


def label_of_file(stem: str, *, index: int) -> Label:
    """Return the fields for a plain file: its own where its name already has all four."""
    if named := _NAMED.fullmatch(stem):
        category, name, variant, frame = named.groups()
        return Label(
            category=category, name=name, variant=int(variant), frame=int(frame), index=index
        )
    return label_of_prompt(stem, variant=0, index=index)


def tell_apart(labels: Sequence[Label]) -> list[Label]:
    """Give labels with the same category, name, variant and frame different names, in order."""
    taken: set[tuple[str, str, int, int]] = set()
    apart = []
    for label in labels:
        count, candidate = 1, label
        while _key(candidate) in taken:
            count += 1
            candidate = replace(label, name=f"{label.name}-{count}")
        taken.add(_key(candidate))
        apart.append(candidate)
    return apart


def asset_names(labels: Sequence[Label], pattern: str) -> list[str]:
    """Return one name a label, all different also where case does not count.

    Raises:
        InputError: The pattern has an unknown field or makes a name that is not legal everywhere.
    """
    _check_pattern(pattern)
    taken: set[str] = set()
    names = []
    for label in labels:
        wanted = _fill(pattern, label)
        count, name = 1, wanted
        while name.lower() in taken:
            count += 1
            name = f"{wanted}-{count}"
        taken.add(name.lower())
        names.append(name)
    return names


def _words(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.findall(r"[a-z0-9]+", plain)


def _key(label: Label) -> tuple[str, str, int, int]:
    return label.category, label.name, label.variant, label.frame


def _check_pattern(pattern: str) -> None:
    try:
        fields = [field for _, field, _, _ in string.Formatter().parse(pattern)]
    except ValueError as error:
        raise InputError(f"name_pattern: {pattern!r} is not a pattern ({error})") from None
    unknown = [field for field in fields if field is not None and field not in FIELDS]
    if unknown:
        raise InputError(f"name_pattern: no field {unknown[0]!r}; allowed: {', '.join(FIELDS)}")


def _fill(pattern: str, label: Label) -> str:
    try:
        name = pattern.format(**{field: getattr(label, field) for field in FIELDS})
    except ValueError as error:
        raise InputError(f"name_pattern: {pattern!r} cannot be filled ({error})") from None
    if not _LEGAL.fullmatch(name) or len(name) > MAX_ASSET_CHARS:
        raise InputError(
            f"name_pattern: makes {name[:60]!r}; allowed are up to {MAX_ASSET_CHARS} of A-Z a-z 0-9"
            " . _ - and a letter or digit first"
        )
    return name
