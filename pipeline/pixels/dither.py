"""Patterns of palette colours for colours a palette lacks; colours it has are never touched.

Ordered: J. Yliluoma, "Arbitrary-palette positional dithering algorithm", 2011: each colour is
shown by the two palette colours whose mixture comes nearest, unlike pairs at a price; Bayer's
matrix (1973) says which of the two stands where. Error diffusion: Floyd and Steinberg 1976;
Atkinson, as in HyperCard 1987 (three quarters of the error); rows run to and fro. All in OKLab.

Shape legend: B batch, H W height width, N pixels, K palette colours.
"""

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from pipeline.pixels.conf import DitherConfig, DitherName
from pipeline.pixels.oklab import CHUNK, nearest, to_oklab
from pipeline.pixels.palettes import Palette, snap

ORDERED = {DitherName.bayer2: 2, DitherName.bayer4: 4, DitherName.bayer8: 8}
DIFFUSED: dict[DitherName, tuple[tuple[int, int, int], ...]] = {
    # (columns ahead, rows down, sixteenths)
    DitherName.floyd_steinberg: ((1, 0, 7), (-1, 1, 3), (0, 1, 5), (1, 1, 1)),
    DitherName.atkinson: (
        (1, 0, 2), (2, 0, 2), (-1, 1, 2), (0, 1, 2), (1, 1, 2), (0, 2, 2),
    ),
}  # fmt: skip
UNLIKE = 0.1
"""Price of mixing two colours: this share of their squared distance, at most at even parts."""
STRENGTH_UNIT = 256


def dither(
    images_BHWC: UInt8[Tensor, "B H W 4"], palette: Palette, cfg: DitherConfig
) -> UInt8[Tensor, "B H W 4"]:
    """Show visible pixels by colours of the palette. Transparent pixels take and give no error."""
    if cfg.name in ORDERED:
        return _ordered(images_BHWC, palette, size=ORDERED[cfg.name], strength=cfg.strength)
    if cfg.name in DIFFUSED:
        return _diffused(images_BHWC, palette, DIFFUSED[cfg.name], strength=cfg.strength)
    return snap(images_BHWC, palette)


def bayer(size: int) -> Int64[Tensor, "size size"]:
    """Return Bayer's matrix of 0 to size^2 - 1; size a power of two."""
    matrix = torch.zeros((1, 1), dtype=torch.int64)
    while len(matrix) < size:
        rows = (
            torch.cat([4 * matrix, 4 * matrix + 2], 1),
            torch.cat([4 * matrix + 3, 4 * matrix + 1], 1),
        )
        matrix = torch.cat(rows, 0)
    return matrix


def _ordered(images_BHWC: Tensor, palette: Palette, *, size: int, strength: float) -> Tensor:
    batch, height, width, _ = images_BHWC.shape
    device = images_BHWC.device
    pattern = (bayer(size).to(torch.float64).to(device) + 0.5) / (size * size)
    rows, columns = (torch.arange(side, device=device) % size for side in (height, width))
    threshold_BHW = pattern[rows][:, columns].expand(batch, height, width)
    visible_BHW = images_BHWC[..., 3] > 0
    lab_N3 = to_oklab(images_BHWC[visible_BHW][:, :3])
    chosen_N = _mix(lab_N3, palette, threshold_BHW[visible_BHW], strength)
    out_BHWC = images_BHWC.clone()
    colours_N3 = palette.bytes_on(device)[chosen_N]
    out_BHWC[visible_BHW] = torch.cat([colours_N3, images_BHWC[visible_BHW][:, 3:]], dim=1)
    return out_BHWC


def _mix(lab_N3: Tensor, palette: Palette, threshold_N: Tensor, strength: float) -> Tensor:
    palette_K3 = palette.lab(lab_N3.device)
    first_N, _ = nearest(lab_N3, palette_K3)
    chosen_N = first_N.clone()
    step = max(1, CHUNK // (8 * len(palette_K3)))
    for start in range(0, len(lab_N3), step):
        part = slice(start, start + step)
        first_K3 = palette_K3[first_N[part]].to(torch.float64)
        wish_N3 = lab_N3[part].to(torch.float64) - first_K3
        way_NK3 = palette_K3.to(torch.float64)[None] - first_K3[:, None]
        length_NK = _dot(way_NK3, way_NK3)
        along_NK = _dot(way_NK3, wish_N3[:, None].expand_as(way_NK3))
        share_NK = (along_NK / length_NK.clamp(min=1)).clamp(0, 1)
        missed_NK3 = wish_N3[:, None] - share_NK[..., None] * way_NK3
        price_NK = _dot(missed_NK3, missed_NK3) + UNLIKE * share_NK * (1 - share_NK) * length_NK
        second_N1 = price_NK.argmin(dim=1, keepdim=True)
        share_N = share_NK.gather(1, second_N1).squeeze(1) * strength
        chosen_N[part] = torch.where(
            share_N > threshold_N[part], second_N1.squeeze(1), first_N[part]
        )
    return chosen_N


def _dot(left: Tensor, right: Tensor) -> Tensor:
    """Return inner products over the last axis, in a fixed order of summing."""
    product = left * right
    return product[..., 0] + product[..., 1] + product[..., 2]


def _diffused(
    images_BHWC: Tensor,
    palette: Palette,
    spread: tuple[tuple[int, int, int], ...],
    *,
    strength: float,
) -> Tensor:
    height, width = images_BHWC.shape[1:3]
    palette_K3 = palette.lab(images_BHWC.device).to(torch.int64)
    colours_K3 = palette.bytes_on(images_BHWC.device)
    wish_BHWC = to_oklab(images_BHWC[..., :3]).to(torch.int64)
    visible_BHW = images_BHWC[..., 3] > 0
    out_BHWC = images_BHWC.clone()
    part = round(strength * STRENGTH_UNIT)
    for y in range(height):
        ahead = 1 if y % 2 == 0 else -1
        for x in range(width) if ahead == 1 else range(width - 1, -1, -1):
            seen_B1 = visible_BHW[:, y, x, None]
            wish_B3 = wish_BHWC[:, y, x]
            away_BK3 = wish_B3[:, None] - palette_K3[None]
            index_B = (away_BK3 * away_BK3).sum(dim=2).argmin(dim=1)
            out_BHWC[:, y, x, :3] = torch.where(seen_B1, colours_K3[index_B], out_BHWC[:, y, x, :3])
            error_B3 = torch.where(seen_B1, wish_B3 - palette_K3[index_B], 0) * part
            for right, down, weight in spread:
                column, row = x + ahead * right, y + down
                if 0 <= column < width and row < height:
                    wish_BHWC[:, row, column] += error_B3 * weight // (16 * STRENGTH_UNIT)
    return out_BHWC
