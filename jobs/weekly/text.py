"""Words of the page: numbers, links, and what others wrote made fit to be committed."""

import itertools
import os
import re
from collections.abc import Sequence
from pathlib import Path

from jobs.runtime.conf import SECRET

MAX_CHARS = 160
NONE = "-"
BLOCKS = "\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"
"""An eighth to eight eighths of a line's height."""
DEEP_PATH = re.compile(r"(?<![\w.])/(?:[^\s/:,'\"]+/){2,}(?=[^\s/:,'\"]*/?[^\s/:,'\"]+)")
ASSIGNED = re.compile(rf"([\w-]*(?:{SECRET.pattern})[\w-]*\s*[=:]\s*)\S+", re.IGNORECASE)


def told(value: float | None, unit: str = "") -> str:
    """Return a number of four digits with its unit; ``-`` where there is none."""
    if value is None:
        return NONE
    whole = value == int(value) or abs(value) >= 1000
    text = f"{value:,.0f}" if whole else f"{value:.4g}"
    return f"{text} {unit}".rstrip()


def lasted(hours: float | None) -> str:
    """Return a time in the unit that it is read in."""
    if hours is None:
        return NONE
    if hours >= 1:
        return f"{hours:,.1f} h"
    return f"{hours * 60:.1f} min" if hours * 60 >= 1 else f"{hours * 3600:.0f} s"


def change(now: float | None, then: float | None) -> str:
    """Return how a number grew from one week to the next."""
    if now is None or then is None:
        return NONE
    if now == then:
        return "same"
    by = f"{'+' if now > then else '-'}{told(abs(now - then))}"
    return f"{by} ({100 * (now - then) / then:+.0f} %)" if then else by


def spark(values: Sequence[float | None], *, lowest: float | None = None) -> str:
    """Return a line of little bars, one a value; a gap where there is none.

    Text, so that git can tell what changed and every reader of Markdown shows it.

    Args:
        values: From left to right.
        lowest: What stands at the bottom; None: the smallest of them.
    """
    known = [value for value in values if value is not None]
    if not known:
        return NONE
    low = min(known) if lowest is None else lowest
    span = max(0.0, max(known) - low)
    # What lies below the lowest, as a broken record may, has no bar of its own.
    heights = (
        None if value is None else max(0.0, value - low) / span if span else 0.0 for value in values
    )
    bars = ("." if each is None else BLOCKS[round(each * (len(BLOCKS) - 1))] for each in heights)
    return f"`{''.join(bars)}`"


def thin(values: Sequence[float], num: int) -> list[float]:
    """Return at most ``num`` means of equal stretches, in order."""
    ends = [len(values) * at // num for at in range(num + 1)]
    stretches = [values[first:last] for first, last in itertools.pairwise(ends) if last > first]
    return [sum(stretch) / len(stretch) for stretch in stretches]


def count(num: float, noun: str) -> str:
    """Return ``1 run``, ``2 runs``."""
    return f"{num:,.0f} {noun}{'' if num == 1 else 's'}"


def share(part: int, whole: int) -> str:
    """Return ``3 of 4 (75 %)``."""
    return f"{part:,} of {whole:,}" + (f" ({100 * part / whole:.0f} %)" if whole else "")


def shorten(text: str) -> str:
    """Return a line that others wrote without secrets, machine's paths and Markdown.

    Of a path from the root three or more deep, only the end is kept.
    """
    line = " ".join(text.encode("utf-8", "replace").decode().split())
    line = ASSIGNED.sub(r"\1***", line)
    line = DEEP_PATH.sub(".../", line)
    line = line if len(line) <= MAX_CHARS else f"{line[: MAX_CHARS - 3].rstrip()}..."
    # An underscore inside a word is one.
    return re.sub(r"([\\`*\[\]<>|~]|(?<!\w)_|_(?!\w))", r"\\\1", line)


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return the lines of a table."""
    return [
        f"| {' | '.join(head)} |",
        f"|{' --- |' * len(head)}",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
    ]


class Links:
    """Links from the page to what it tells of.

    Args:
        page: The file that the links stand in.
    """

    def __init__(self, page: Path) -> None:
        self._above = page.absolute().parent

    def record(self, path: Path, *above: Path) -> str:
        """Return a link that shows the path below the first of some folders that it is in."""
        return self.to(path, above=next(each for each in above if path.is_relative_to(each)))

    def to(self, path: Path, *, above: Path) -> str:
        """Return a link that shows the path below ``above``; only words where it leads elsewhere.

        A page may be committed: what does not lie below its folder would be a path of this machine.
        """
        shown = shorten(path.relative_to(above).as_posix() if path != above else path.name)
        target = os.path.relpath(path.absolute(), self._above)
        if target.startswith(".."):
            return shown
        return f"[{shown}](<{target}>)" if re.search(r"[\s()]", target) else f"[{shown}]({target})"
