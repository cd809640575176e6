"""What is judged: the pictures of a run or a folder, in the order of their names."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import UnidentifiedImageError

from eval.batches import Picture
from pipeline.core.errors import InputError
from pipeline.core.picture import load_picture
from pipeline.core.rundir import RunDir
from pipeline.generate.summary import read_records


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawn:
    """One set of pictures."""

    name: str
    path: Path
    files: list[Path]
    prompts: list[str]
    """Of each picture; its file's name where nothing says."""
    has_prompts: bool
    pictures: list[Picture]
    """Straight RGBA."""

    def __len__(self) -> int:
        return len(self.files)


def read_drawn(path: Path, name: str) -> Drawn:
    """Read a run of jobs.generate, or a folder of PNG.

    Args:
        path: Run folder or folder.
        name: What the set is called.

    Raises:
        InputError: There are no pictures, or one cannot be read.
    """
    listed = list_drawn(path)
    return Drawn(
        name=name,
        path=path,
        files=list(listed),
        prompts=[str(record["prompt"]) if record else file.stem for file, record in listed.items()],
        has_prompts=RunDir(path).images.is_dir(),
        pictures=[_read(file) for file in listed],
    )


def list_drawn(path: Path) -> dict[Path, dict[str, Any]]:
    """Return the pictures of a run of jobs.generate, or of a folder of PNG, in order.

    Returns:
        By file what the run's table says of it; nothing for a folder.

    Raises:
        InputError: There are no pictures.
    """
    run = RunDir(path)
    listed: dict[Path, dict[str, Any]]
    if run.images.is_dir():
        listed = {run.images / str(record["file"]): record for record in read_records(run)}
    else:
        listed = {file: {} for file in sorted(path.glob("*.png"))}
    if not listed:
        raise InputError(f"{path}: neither a run of jobs.generate nor a folder of PNG")
    return listed


def require_same(first: Drawn, others: Sequence[Drawn]) -> None:
    """Refuse sets that are not of the same things.

    Raises:
        InputError: Names, or the prompts behind them, differ; the line names the first.
    """
    for other in others:
        names, theirs = ([file.name for file in each.files] for each in (first, other))
        if names != theirs:
            odd = sorted(set(names) ^ set(theirs))[:1] or ["their order"]
            raise InputError(f"{other.path}: not the pictures of {first.path} ({odd[0]})")
        if first.has_prompts and other.has_prompts and first.prompts != other.prompts:
            at = next(
                i
                for i, pair in enumerate(zip(first.prompts, other.prompts, strict=True))
                if pair[0] != pair[1]
            )
            raise InputError(
                f"{other.path}: {names[at]} was drawn for {other.prompts[at]!r}, in {first.path} "
                f"for {first.prompts[at]!r}"
            )


def _read(file: Path) -> Picture:
    try:
        picture = load_picture(file)
    except (OSError, UnidentifiedImageError) as error:
        raise InputError(f"{file}: cannot be read ({error})") from None
    return np.asarray(picture.convert("RGBA"))
