"""The recorded pictures and hashes that a smoke run is checked against.

repro/reference/
  smoke.json         settings, weights, and hashes of pixels by what they hold for
  000000000.png ...  the pictures

Hashes of pixels (not of files: another zlib writes another PNG) hold for one kind of CPU and one
torch: where they were recorded for just this kind, every one must be equal. Anywhere else, and on a
GPU, a sum may be added up in another order, and the pictures are compared instead.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.core.errors import InputError
from pipeline.core.files import read_json, write_atomic, write_json
from pipeline.core.picture import png_bytes
from repro.environment import Environment
from repro.smoke import Smoke, read_pixels
from repro.tolerance import SHARE, STEP, Pixels, differing_share

FORMAT = "dgx-pixels-reference/1"


@dataclass(frozen=True, kw_only=True, slots=True)
class HoldsFor:
    """What hashes were recorded with and are exact for."""

    torch: str
    cpu: str
    cpu_capability: str
    num_threads: int

    def __str__(self) -> str:
        return f"torch {self.torch}, {self.cpu} {self.cpu_capability}, {self.num_threads} thread"


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What is to be said of one picture."""

    file: str
    prompt: str
    equal: bool
    """To the byte: the hash is the recorded one, or the pixels are those of the picture."""
    differing: float
    """Share of pixels that differ, 0 to 1."""
    passed: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """What is to be said of all of them."""

    by: str
    """``hash`` or ``tolerance``."""
    holds_for: HoldsFor | None
    """Kind of CPU that ran; None on a GPU."""
    verdicts: tuple[Verdict, ...]

    @property
    def passed(self) -> bool:
        """Whether every picture did."""
        return all(verdict.passed for verdict in self.verdicts)

    @property
    def fault(self) -> str:
        """What is wrong, in words."""
        failing = [verdict for verdict in self.verdicts if not verdict.passed]
        names = ", ".join(verdict.file for verdict in failing[:3])
        told = (
            f"{len(failing)} of {len(self.verdicts)} pictures are not what was recorded ({names})"
        )
        if any(verdict.differing > SHARE for verdict in failing):
            return told
        return f"{told}, though all are within tolerance: a library or a setting adds up otherwise"

    @property
    def how(self) -> str:
        """What was demanded, in words."""
        if self.by == "hash":
            return f"equal hashes, recorded for {self.holds_for}"
        here = f"no hashes are recorded for {self.holds_for}" if self.holds_for else "a GPU ran"
        return (
            f"pictures within tolerance ({here}): at most {SHARE:.0%} of a picture's pixels may "
            f"differ by more than {STEP} in OKLab"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """What was recorded."""

    settings: dict[str, Any]
    weights_sha256: str
    files: tuple[str, ...]
    pixels: tuple[Pixels, ...]
    hashes: dict[HoldsFor, tuple[str, ...]]


def kind_of(environment: Environment, smoke: Smoke) -> HoldsFor | None:
    """Return what this run's hashes hold for; None: a GPU's hold for nothing."""
    if smoke.device != "cpu":
        return None
    return HoldsFor(
        torch=environment.torch,
        cpu=environment.cpu_id or environment.cpu,
        cpu_capability=environment.cpu_capability,
        num_threads=smoke.settings["num_threads"],
    )


def check(smoke: Smoke, reference: Reference, *, kind: HoldsFor | None) -> Check:
    """Check a run.

    Raises:
        InputError: The reference is of other weights or another work: recorded anew, it can be
            checked against.
    """
    if smoke.weights_sha256 != reference.weights_sha256:
        raise InputError(
            f"model: its weights are {smoke.weights_sha256[:12]}..., the reference is of "
            f"{reference.weights_sha256[:12]}...; restore them, or record anew with record=true"
        )
    for key, value in reference.settings.items():
        if smoke.settings.get(key) != value:
            raise InputError(
                f"reference: recorded with {key} {value!r}, now it is "
                f"{smoke.settings.get(key)!r}; record anew with record=true"
            )
    expected = reference.hashes.get(kind) if kind else None
    verdicts = []
    for number, picture in enumerate(smoke.pictures):
        now, then = smoke.pixels[number], reference.pixels[number]
        equal = picture.pixels_sha256 == expected[number] if expected else np.array_equal(now, then)
        differing = differing_share(now, then)
        verdicts.append(
            Verdict(
                file=picture.file,
                prompt=picture.prompt,
                equal=equal,
                differing=differing,
                passed=equal if expected else differing <= SHARE,
            )
        )
    by = "hash" if expected else "tolerance"
    return Check(by=by, holds_for=kind, verdicts=tuple(verdicts))


def record(folder: Path, smoke: Smoke, *, kind: HoldsFor | None) -> bool:
    """Keep a run as the reference.

    Hashes for other kinds of CPU stay while they are of the same weights, work and pictures.

    Returns:
        Whether what was there stays, with these hashes beside it.

    Raises:
        InputError: A GPU ran, whose hashes hold nowhere else.
    """
    if kind is None:
        raise InputError("record: only a CPU's pictures are recorded; set cluster.gpus_per_node=0")
    hashes = tuple(picture.pixels_sha256 for picture in smoke.pictures)
    before = _still_true(folder, smoke, kind=kind, hashes=hashes)
    if before is None:
        for stale in folder.glob("*.png"):
            stale.unlink()
        for picture, pixels in zip(smoke.pictures, smoke.pixels, strict=True):
            write_atomic(folder / picture.file, png_bytes(Image.fromarray(pixels)))
    kept = (before.hashes if before else {}) | {kind: hashes}
    value = {
        "format": FORMAT,
        "weights_sha256": smoke.weights_sha256,
        "settings": smoke.settings,
        "files": [picture.file for picture in smoke.pictures],
        "hashes": [
            {"holds_for": dataclasses.asdict(each), "pixels_sha256": list(told)}
            for each, told in kept.items()
        ],
    }
    write_json(folder / "smoke.json", value)
    return before is not None


def read_reference(folder: Path) -> Reference:
    """Read what ``record`` wrote.

    Raises:
        InputError: It is missing or not whole; the line names the file.
    """
    path = folder / "smoke.json"
    if not path.is_file():
        raise InputError(f"reference: no {path}; record one with record=true")
    value = read_json(path)
    if value.get("format") != FORMAT:
        raise InputError(f"{path}: not a {FORMAT} file; record anew with record=true")
    try:
        files = tuple(value["files"])
        hashes = {
            HoldsFor(**each["holds_for"]): tuple(each["pixels_sha256"]) for each in value["hashes"]
        }
        settings, weights = dict(value["settings"]), str(value["weights_sha256"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not whole ({error!r}); record anew with record=true") from None
    counts = {len(settings.get("prompts", ())), *(len(told) for told in hashes.values())}
    if not hashes or counts != {len(files)}:
        raise InputError(f"{path}: not a hash a picture; record anew with record=true")
    return Reference(
        settings=settings,
        weights_sha256=weights,
        files=files,
        pixels=tuple(read_pixels(folder / file) for file in files),
        hashes=hashes,
    )


def _still_true(
    folder: Path, smoke: Smoke, *, kind: HoldsFor, hashes: Sequence[str]
) -> Reference | None:
    """Return what is recorded where this run says the same."""
    try:
        before = read_reference(folder)
        checked = check(smoke, before, kind=None)
    except InputError:
        return None
    known = before.hashes.get(kind, tuple(hashes))
    return before if checked.passed and known == tuple(hashes) else None
