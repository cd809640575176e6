"""Places as a page may tell them that is sent around: where in the runs, not where on a machine."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

ABSOLUTE = re.compile(r"""(?<![^\s'"(=:])/[^\s'"():;,]*/[^\s'"():;,]*""")
"""A path from the root of a machine, of two names or more."""


def roots_of(given: Iterable[Path]) -> list[Path]:
    """Return the folders of all runs, absolute, as they are written and as they are.

    Args:
        given: Folders of all runs, or run folders.
    """
    found: dict[Path, None] = {}
    for path in given:
        for each in (path.absolute(), path.resolve()):
            is_run = (each / "run.json").exists() and len(each.parts) > 3
            found[each.parents[2] if is_run else each] = None
    # What is within another comes first, or its place would be told from the outer one.
    return sorted(found, key=lambda root: len(root.parts), reverse=True)


def placed(text: str, *, roots: Sequence[Path]) -> str:
    """Return a text with places in the runs from there on, and of others the last name alone.

    Args:
        text: A path, or a line that may name some.
        roots: As ``roots_of`` returns them.
    """
    for root in roots:
        text = text.replace(f"{root}/", "")
    return ABSOLUTE.sub(lambda found: f".../{Path(found.group()).name}", text)
