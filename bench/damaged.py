"""Damaged pictures for bench.restore, and what each method makes of them.

Shape legend: H W height and width, C channels; K L native pixels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter

from pipeline.core.errors import InputError
from pipeline.core.seeds import derive_permutation, derive_seed
from pipeline.data.dataset import Dataset
from pipeline.generate.denoise import Denoiser
from pipeline.pixels.oklab import Bytes
from pipeline.pixels.palettes import Palette, snap
from pipeline.pixels.restore import Candidate, RestoreConfig, Restored, Restorer, half_recoveries

DAMAGES = ("clean", "blur", "noise", "jpeg80", "jpeg50", "all")
NOISE = 16.0
GROUNDS = ((200, 60, 200), (60, 160, 70), (235, 235, 235), (40, 44, 60))
RESAMPLE = Image.Resampling
Found = list[Bytes | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Art:
    """A native image and what is known of it."""

    native_HWC: Bytes
    """RGB, on a plain ground where it has transparent pixels."""
    alpha_HW1: Bytes
    """What of it is the sprite."""
    caption: str


def load_art(paths: Sequence[Path], count: int) -> list[Art]:
    """Return held-out images, about as many of each data set, drawn by seed 0."""
    found = []
    for path in paths:
        split = Dataset.open(path).split("validation")
        order = derive_permutation(0, "restore", 0, size=len(split))
        for number, index in enumerate(order[: -(-count // len(paths))]):
            with Image.open(BytesIO(bytes(split.png_bytes(int(index))))) as image:
                rgba = np.asarray(image.convert("RGBA"))
            ground = np.array(GROUNDS[number % len(GROUNDS)], dtype=np.uint8)
            hard = np.where(rgba[..., 3:] >= 128, np.uint8(255), np.uint8(0))
            rgb = np.where(hard > 0, rgba[..., :3], ground)
            found.append(Art(native_HWC=rgb, alpha_HW1=hard, caption=split.captions[int(index)]))
    if not found:
        raise InputError(f"{paths[0]}: has no held-out images")
    return found


def enlarged(native_HWC: Bytes, side: tuple[int, int]) -> Bytes:
    """Enlarge by nearest neighbour to a height and width that need be no multiples."""
    # The pixel whose middle is nearest, as Pillow takes it.
    rows, columns = (
        (2 * np.arange(new) + 1) * old // (2 * new)
        for new, old in zip(side, native_HWC.shape[:2], strict=True)
    )
    return np.ascontiguousarray(native_HWC[rows][:, columns])


def damage(image_HWC: Bytes, kind: str, *, number: int, sigma: float = NOISE) -> Bytes:
    """Blur, then noise, then compression: those the kind names."""
    image = Image.fromarray(image_HWC)
    if kind in {"blur", "all"}:
        image = image.filter(ImageFilter.GaussianBlur(1.0))
    if kind in {"noise", "all"}:
        rng = np.random.Generator(np.random.Philox(key=derive_seed(0, "grain", number)))
        noisy = np.asarray(image) + rng.normal(0, sigma, image_HWC.shape)
        image = Image.fromarray(noisy.round().clip(0, 255).astype(np.uint8))
    if kind in {"jpeg80", "jpeg50", "all"}:
        buffer = BytesIO()
        image.save(buffer, format="JPEG", quality=80 if kind == "jpeg80" else 50)
        image = Image.open(buffer).convert("RGB")
    return np.array(image)


def resized(image_HWC: Bytes, size: tuple[int, int], how: RESAMPLE) -> Bytes:
    """Resize to (width, height)."""
    return np.array(Image.fromarray(image_HWC).resize(size, how))


def down_and_up(down: RESAMPLE, up: RESAMPLE) -> Callable[[Bytes, Bytes], tuple[Bytes, Bytes]]:
    """Return a method that is told the native size: (native, enlarged again)."""

    def method(image_HWC: Bytes, truth_HWC: Bytes) -> tuple[Bytes, Bytes]:
        small = resized(image_HWC, (truth_HWC.shape[1], truth_HWC.shape[0]), down)
        return small, resized(small, (image_HWC.shape[1], image_HWC.shape[0]), up)

    return method


PLAIN = {
    "nearest down, up": down_and_up(RESAMPLE.NEAREST, RESAMPLE.NEAREST),
    "bicubic down, up": down_and_up(RESAMPLE.BICUBIC, RESAMPLE.BICUBIC),
    "nearest down, bicubic up": down_and_up(RESAMPLE.NEAREST, RESAMPLE.BICUBIC),
    "box down, nearest up": down_and_up(RESAMPLE.BOX, RESAMPLE.NEAREST),
}


def ours(
    images: Sequence[Bytes], art: Sequence[Art], denoiser: Denoiser | None
) -> dict[str, Found]:
    """Return native pixels by variant; None: not sure."""
    restorer = Restorer(RestoreConfig())
    plain = restorer(images)
    auto = Restorer(RestoreConfig(auto_palette=True))(images)
    found: dict[str, Found] = {
        "ours": [one.native_KLC for one in plain],
        "ours, auto palette": [one.native_KLC for one in auto],
        "ours, own palette": [_snapped(*pair) for pair in zip(plain, art, strict=True)],
    }
    if denoiser is not None:
        # The model is told the sprite's outline too: it learnt sprites without a ground.
        able = [i for i, one in enumerate(found["ours"]) if fits(one, art[i])]
        candidates = [_candidate(images[i], plain[i], art[i], restorer) for i in able]
        for key in ("ours, diffusion where better", "ours, diffusion always"):
            found[key] = list(found["ours"])
        cleaned_up = denoiser.clean_up(candidates)
        for i, candidate, cleaned in zip(able, candidates, cleaned_up, strict=True):
            pair = (cleaned.native_KLC, cleaned.proposed_KLC)
            for key, rgba in zip(list(found)[-2:], pair, strict=True):
                seen = art[i].alpha_HW1 > 0
                found[key][i] = np.where(seen, rgba[..., :3], candidate.native_KLC[..., :3])
    return found


def _candidate(image_HWC: Bytes, one: Restored, art: Art, restorer: Restorer) -> Candidate:
    halves = half_recoveries(image_HWC, one.record, restorer.grid, native_size_px=None)
    assert one.native_KLC is not None, "fits"
    return Candidate(
        native_KLC=np.dstack([one.native_KLC, art.alpha_HW1]), halves=halves, caption=art.caption
    )


def fits(native_KLC: Bytes | None, art: Art) -> bool:
    """Whether native pixels were found, and as many as there are."""
    return native_KLC is not None and native_KLC.shape == art.native_HWC.shape


def _snapped(one: Restored, art: Art) -> Bytes | None:
    if one.native_KLC is None:
        return None
    own = Palette(name="own", colours_K3=np.unique(art.native_HWC.reshape(-1, 3), axis=0))
    rgba = np.dstack([one.native_KLC, np.full(one.native_KLC.shape[:2], 255, dtype=np.uint8)])
    snapped: Bytes = snap(torch.from_numpy(rgba)[None], own)[0].numpy()[..., :3]
    return snapped
