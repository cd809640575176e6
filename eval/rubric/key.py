"""What a page's opaque names stand for. Beside the page, never in it.

One JSON file, ``dgx-pixels-rubric-key/1``::

    {"schema", "page": sha256, "mode", "runs": [...], "num_repeats",
     "images": {id: {"run", "name", "prompt", "group"}}, "pairs": {id: [image id, image id]}}
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.rubric.conf import RubricMode
from pipeline.core.errors import InputError
from pipeline.core.files import read_json, write_json

SCHEMA = "dgx-pixels-rubric-key/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One picture of a page."""

    run: str
    name: str
    prompt: str
    group: str
    """Pictures that the bootstrap draws together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One page's key."""

    page: str
    """Digest of what the page asks; raters' files carry it."""
    mode: RubricMode
    runs: tuple[str, ...]
    """In the order given, the first is the base."""
    num_repeats: int
    images: Mapping[str, Shown]
    """By opaque name."""
    pairs: Mapping[str, tuple[str, str]]
    """Opaque names of the two pictures, by that of the pair; empty for absolute ratings."""

    @property
    def items(self) -> set[str]:
        """Opaque names of all that is asked about."""
        return set(self.images if self.mode is RubricMode.absolute else self.pairs)


def key_path(page: Path) -> Path:
    """Where the key of a page lies."""
    return page.with_suffix(".key.json")


def write_key(path: Path, key: Key) -> None:
    """Write the file atomically."""
    write_json(path, {"schema": SCHEMA, **dataclasses.asdict(key), "mode": key.mode.value})


def read_key(path: Path) -> Key:
    """Read what ``write_key`` wrote.

    Raises:
        InputError: It is missing or not whole; the line names file and field.
    """
    value = read_json(path)
    if value.pop("schema", None) != SCHEMA:
        raise InputError(f"{path}: schema: not a {SCHEMA} file; rubric=make writes it")
    try:
        key = Key(
            page=str(value["page"]),
            mode=RubricMode(value["mode"]),
            runs=tuple(value["runs"]),
            num_repeats=int(value["num_repeats"]),
            images={name: Shown(**each) for name, each in value["images"].items()},
            pairs={name: _two(each) for name, each in value["pairs"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: not a whole {SCHEMA} file ({error})") from None
    for name, shown in key.images.items():
        if shown.run not in key.runs:
            raise InputError(f"{path}: images.{name}.run: {shown.run!r} is none of {key.runs}")
    for name, pair in key.pairs.items():
        if not set(pair) <= key.images.keys():
            raise InputError(f"{path}: pairs.{name}: {pair} are not both pictures of the key")
    return key


def _two(pair: Any) -> tuple[str, str]:
    left, right = pair
    return str(left), str(right)
