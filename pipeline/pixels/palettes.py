"""Palettes: fixed ones, files, a folder's own; and snapping pictures to one.

Shape legend: B batch, H W height width, K palette colours.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int32, UInt8
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from pipeline.core.errors import InputError
from pipeline.pixels.conf import PaletteConfig, PaletteName
from pipeline.pixels.kmeans import cluster, count_colours
from pipeline.pixels.oklab import Bytes, nearest, to_oklab
from pipeline.pixels.palette_files import hex_colours, read_palette

ASSETS = Path(__file__).parent / "assets"
ENDINGS = {".png", ".gif", ".bmp", ".webp", ".tga"}


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class Palette:
    """Colours under a name."""

    name: str
    colours_K3: Bytes
    """sRGB bytes."""

    @property
    def sha256(self) -> str:
        """Digest of the colours in order, whatever the name and file."""
        return hashlib.sha256(",".join(hex_colours(self.colours_K3)).encode()).hexdigest()

    def told(self, *, colours: bool = False) -> dict[str, Any]:
        """Return name and digest, and the colours themselves where asked for, as JSON."""
        told: dict[str, Any] = {"name": self.name, "sha256": self.sha256}
        return told | {"colours": hex_colours(self.colours_K3)} if colours else told

    def lab(self, device: torch.device | str) -> Int32[Tensor, "K 3"]:
        """Return the colours in OKLab, in units of 1/16384."""
        return to_oklab(torch.from_numpy(self.colours_K3)).to(device)

    def bytes_on(self, device: torch.device | str) -> UInt8[Tensor, "K 3"]:
        """Return the colours as bytes."""
        return torch.from_numpy(self.colours_K3).to(device)


def load_palette(cfg: PaletteConfig) -> Palette | None:
    """Return the palette that is the same for all images; None for ``none`` and ``kmeans``.

    Raises:
        InputError: The file or folder is missing, broken or empty.
    """
    match cfg.name:
        case PaletteName.none | PaletteName.kmeans:
            return None
        case PaletteName.file:
            assert cfg.path is not None, "checked by PaletteConfig"
            return Palette(name=cfg.path.name, colours_K3=read_palette(cfg.path))
        case PaletteName.folder:
            assert cfg.path is not None, "checked by PaletteConfig"
            return folder_palette(cfg.path, num_colours=cfg.num_colours, seed=cfg.seed)
        case _:
            file = ASSETS / f"{cfg.name.value}.hex"
            return Palette(name=cfg.name.value, colours_K3=read_palette(file))


def palette_told(told: dict[str, Any]) -> Palette:
    """Return the palette that ``Palette.told`` told with its colours.

    Raises:
        InputError: The colours are not those of the digest.
    """
    colours = np.array([list(bytes.fromhex(text)) for text in told["colours"]], dtype=np.uint8)
    palette = Palette(name=told["name"], colours_K3=colours)
    if palette.sha256 != told["sha256"]:
        raise InputError(f"palette.sha256: {told['sha256']}, its colours have {palette.sha256}")
    return palette


def folder_palette(folder: Path, *, num_colours: int, seed: int) -> Palette:
    """Return a palette of the visible colours of all images below a folder.

    Raises:
        InputError: There is no image, or one cannot be read.
    """
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in ENDINGS)
    if not files:
        raise InputError(f"{folder}: no images there; endings {', '.join(sorted(ENDINGS))}")
    colours, counts = count_colours(_open(file) for file in files)
    if not len(colours):
        raise InputError(f"{folder}: nothing is visible in its {len(files)} images")
    return Palette(
        name=f"folder-{num_colours}",
        colours_K3=cluster(colours, counts, num_colours=num_colours, seed=seed),
    )


def image_palette(images_HWC: list[Bytes], cfg: PaletteConfig) -> Palette | None:
    """Return a clustered palette of one image, or one for all; None when nothing is visible."""
    colours, counts = count_colours(images_HWC)
    if not len(colours):
        return None
    chosen = cluster(colours, counts, num_colours=cfg.num_colours, seed=cfg.seed)
    return Palette(name=f"kmeans-{cfg.num_colours}", colours_K3=chosen)


def snap(images_BHWC: UInt8[Tensor, "B H W 4"], palette: Palette) -> UInt8[Tensor, "B H W 4"]:
    """Give each visible pixel the nearest colour of the palette. Doing it twice changes nothing."""
    visible_BHW = images_BHWC[..., 3] > 0
    out_BHWC = images_BHWC.clone()
    lab_N3 = to_oklab(images_BHWC[visible_BHW][:, :3])
    index_N, _ = nearest(lab_N3, palette.lab(images_BHWC.device))
    colours_N3 = palette.bytes_on(images_BHWC.device)[index_N]
    alpha_N1 = images_BHWC[visible_BHW][:, 3:]
    out_BHWC[visible_BHW] = torch.cat([colours_N3, alpha_N1], dim=1)
    return out_BHWC


def _open(file: Path) -> Bytes:
    try:
        with Image.open(file) as image:
            return np.asarray(image.convert("RGBA"))
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise InputError(f"{file}: cannot be read as an image ({error})") from None
