"""Where a metric's weights are looked for, and that they are the very ones it was made with.

Nothing is fetched: a metric either finds its pinned files or is unavailable.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eval.metric import UnavailableError
from pipeline.core.files import sha256_file


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """What a metric is built with."""

    folder: Path | None = None
    """Looked in before the packages and the libraries' own caches; None: only there."""
    device: str = "cpu"
    """``cpu`` or ``cuda:<index>``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pinned:
    """One file, known by its bytes."""

    name: str
    sha256: str


def find(
    metric: str, files: Sequence[Pinned], folders: Sequence[Path | None], *, how: str
) -> list[Path]:
    """Return the pinned files from the first of ``folders`` that has all of them.

    Args:
        metric: Who asks, for the message.
        files: What is needed.
        folders: Where to look, in order; None is passed over.
        how: How to get the files, for the message.

    Raises:
        UnavailableError: No folder has them, or a file there has other bytes.
    """
    names = ", ".join(file.name for file in files)
    looked = [folder for folder in folders if folder is not None]
    for folder in looked:
        paths = [folder / file.name for file in files]
        if not all(path.is_file() for path in paths):
            continue
        for path, file in zip(paths, files, strict=True):
            if (found := sha256_file(path)) != file.sha256:
                raise UnavailableError(
                    f"{metric}: {path} has sha256 {found}, not {file.sha256}; {how}"
                )
        return paths
    where = " nor in ".join(str(folder) for folder in looked) or "any folder"
    raise UnavailableError(f"{metric}: {names} not found in {where}; {how}")
