"""Pictures to rate: read from a run or a folder, and stripped of everything but their pixels."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError

from pipeline.core.errors import InputError
from pipeline.core.picture import load_picture, png_bytes
from pipeline.core.rundir import RunDir
from pipeline.generate.png import provenance_of

LEAST_SIDE_PX = 8
MOST_SIDE_PX = 256
"""Larger ones cannot be shown at an integer enlargement on one screen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sprite:
    """One picture of one run."""

    name: str
    """Unique in its run; the same in another run for the same prompt and seed."""
    prompt: str
    """What it was to be; empty: not known."""
    rgba: UInt8[np.ndarray, "H W 4"]
    """Straight alpha."""
    group: str = ""
    """What is drawn together by the bootstrap, such as the prompt; empty: the prompt, or else the
    name."""

    @property
    def together(self) -> str:
        """What this picture is drawn together with."""
        return self.group or self.prompt or self.name


def read_sprites(folder: Path) -> list[Sprite]:
    """Read a run of ``jobs.generate``, or any folder of PNG, in order of names.

    Prompts are those the pictures carry; a picture of other tools has none.

    Raises:
        InputError: There are none, or one cannot be read or has a side outside 8..256 px.
    """
    run = RunDir(folder)
    files = sorted((run.images if run.images.is_dir() else folder).glob("*.png"))
    if not files:
        raise InputError(f"{folder}: no PNG there; give a run of jobs.generate or a folder of PNG")
    return [_read(file) for file in files]


def data_url(rgba: UInt8[np.ndarray, "H W 4"]) -> str:
    """Encode pixels anew, so that nothing a file carried beside them reaches the page."""
    png = png_bytes(Image.fromarray(np.ascontiguousarray(rgba)), optimize=True)
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def same_names(sets: Mapping[str, Sequence[Sprite]], *, same_prompts: bool) -> list[str]:
    """Return the names that all runs share, in order.

    Raises:
        InputError: Runs do not hold the same names, or a name has two prompts that would be read:
            one with a trigger word would give its run away.
    """
    (first, pictures), *others = sets.items()
    by_name = {sprite.name: sprite for sprite in pictures}
    for run, sprites in others:
        found = {sprite.name: sprite for sprite in sprites}
        odd = sorted(by_name.keys() ^ found.keys())
        if odd:
            raise InputError(
                f"runs: {first} and {run} differ in {len(odd)} pictures, such as {odd[0]}; "
                "pictures are compared by name"
            )
        for name, sprite in found.items():
            if same_prompts and sprite.prompt != by_name[name].prompt:
                raise InputError(
                    f"runs: {name} is {by_name[name].prompt!r} in {first} and "
                    f"{sprite.prompt!r} in {run}, which would tell them apart; "
                    "give show_prompts=false"
                )
    return sorted(by_name)


def _read(file: Path) -> Sprite:
    try:
        picture = load_picture(file)
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise InputError(f"{file}: not a readable PNG ({error})") from None
    if not LEAST_SIDE_PX <= min(picture.size) <= max(picture.size) <= MOST_SIDE_PX:
        raise InputError(
            f"{file}: {picture.width}x{picture.height} px; sides of {LEAST_SIDE_PX} to "
            f"{MOST_SIDE_PX} px can be rated"
        )
    prompt = str(provenance_of(picture).get("prompt", ""))
    return Sprite(name=file.stem, prompt=prompt, rgba=np.asarray(picture.convert("RGBA")))
