"""Seeded pixel art of our own making: small, captioned, free; what tests and the smoke run use."""

from collections.abc import Callable

import numpy as np

from pipeline.core.seeds import derive_seed
from pipeline.data.conf import ArtKind, SourceConfig
from pipeline.data.sources.art import Art, Found, Pixels

COLOURS = {
    "red": (190, 40, 50),
    "green": (60, 150, 60),
    "blue": (50, 90, 190),
    "yellow": (220, 190, 60),
    "purple": (140, 60, 160),
    "grey": (130, 130, 140),
}
OUTLINE = (24, 20, 32)
WOOD = (120, 80, 40)
GLASS = (200, 215, 225)

Rng = np.random.Generator
Rgb = tuple[int, int, int]


def draw_procedural(cfg: SourceConfig, *, art: ArtKind, seed: int, size_px: int) -> Found:
    """Yield ``cfg.num_images`` images, kinds and colours in turn. Deterministic given ``seed``."""
    kinds = [
        *(TILES if art is not ArtKind.sprite else {}),
        *(SPRITES if art is not ArtKind.tile else {}),
    ]
    for number in range(cfg.num_images):
        kind = kinds[number % len(kinds)]
        colour = list(COLOURS)[number // len(kinds) % len(COLOURS)]
        rng = np.random.Generator(np.random.Philox(key=derive_seed(seed, "procedural", number)))
        pixels = (TILES | SPRITES)[kind](size_px, COLOURS[colour], rng)
        yield Art(
            name=f"{number:06d}_{colour}_{kind}",
            pixels=pixels,
            caption=f"{colour} {kind}",
            licence="CC0-1.0",
            attribution="drawn by this project",
            source="procedural",
            group=f"{colour} {kind}/{number}",
        )


def _shade(colour: Rgb, factor: float) -> Rgb:
    red, green, blue = (int(min(255, channel * factor)) for channel in colour)
    return red, green, blue


def _opaque(size: int, colour: Rgb) -> Pixels:
    pixels = np.empty((size, size, 4), dtype=np.uint8)
    pixels[:] = (*colour, 255)
    return pixels


def _put(pixels: Pixels, mask: np.ndarray, colour: Rgb) -> None:
    pixels[mask] = (*colour, 255)


def _brick(size: int, colour: Rgb, rng: Rng) -> Pixels:
    pixels = _opaque(size, _shade(colour, 0.45))
    height, width = size // 4, size // 2
    for row in range(4):
        for column in range(-1, 3):
            left = column * width + (row % 2) * (width // 2)
            top = row * height
            rows = slice(top, top + height - 1)
            columns = slice(max(0, left), max(0, min(size, left + width - 1)))
            tone = (0.85, 1.0, 1.15)[int(rng.integers(3))]
            pixels[rows, columns] = (*_shade(colour, tone), 255)
            pixels[top, columns] = (*_shade(colour, tone * 1.2), 255)
    return pixels


def _grass(size: int, colour: Rgb, rng: Rng) -> Pixels:
    pixels = _opaque(size, _shade(colour, 0.8))
    for tone in (0.65, 1.0, 1.2):
        for _ in range(size):
            x, y = (int(v) for v in rng.integers(0, size, 2))
            pixels[y : y + 2, x] = (*_shade(colour, tone), 255)
    return pixels


def _water(size: int, colour: Rgb, rng: Rng) -> Pixels:
    pixels = _opaque(size, colour)
    for y in range(1, size, 4):
        phase = int(rng.integers(size))
        for x in range(size):
            crest = (x + phase) % 8
            if crest < 4:
                pixels[(y + (crest in (0, 3))) % size, x] = (*_shade(colour, 1.35), 255)
    return pixels


def _potion(size: int, colour: Rgb, rng: Rng) -> Pixels:
    pixels = np.zeros((size, size, 4), dtype=np.uint8)
    y, x = np.mgrid[:size, :size]
    centre, radius = size * 0.62, size * (0.24 + 0.04 * rng.random())
    distance = np.hypot(x - size / 2 + 0.5, y - centre)
    neck = (abs(x - size / 2 + 0.5) < size * 0.09) & (y > size * 0.18) & (y < centre)
    _put(pixels, (distance < radius + 1) | _grown(neck), OUTLINE)
    _put(pixels, (distance < radius) | neck, GLASS)
    level = centre - radius * (0.5 * rng.random())
    _put(pixels, (distance < radius - 1) & (y > level), colour)
    _put(pixels, (distance < radius - 1) & (y > level) & (x > size * 0.55), _shade(colour, 0.7))
    _put(pixels, neck & (y < size * 0.27), WOOD)
    return pixels


def _sword(size: int, colour: Rgb, rng: Rng) -> Pixels:
    pixels = np.zeros((size, size, 4), dtype=np.uint8)
    y, x = np.mgrid[:size, :size]
    along, across = x - y + size - 1, x + y - size + 1
    length = int(size * (1.35 + 0.3 * rng.random()))
    blade = (abs(across) <= 2) & (along > size * 0.55) & (along < length)
    grip = (abs(across) <= 1) & (along > size * 0.2) & (along <= size * 0.55)
    guard = (abs(along - size * 0.55) <= 2) & (abs(across) < size * 0.24)
    _put(pixels, _grown(blade | grip | guard), OUTLINE)
    _put(pixels, blade, (200, 205, 215))
    _put(pixels, blade & (across > 0), (150, 155, 170))
    _put(pixels, grip, WOOD)
    _put(pixels, guard, colour)
    return pixels


def _gem(size: int, colour: Rgb, rng: Rng) -> Pixels:
    pixels = np.zeros((size, size, 4), dtype=np.uint8)
    y, x = np.mgrid[:size, :size]
    radius = size * (0.28 + 0.08 * rng.random())
    reach = abs(x - size / 2 + 0.5) + abs(y - size / 2 + 0.5)
    _put(pixels, reach < radius + 1.5, OUTLINE)
    _put(pixels, reach < radius, colour)
    _put(pixels, (reach < radius) & (x < y), _shade(colour, 0.7))
    _put(pixels, (reach < radius * 0.5) & (x + y < size), _shade(colour, 1.4))
    return pixels


def _grown(mask: np.ndarray) -> np.ndarray:
    grown = mask.copy()
    for axis in (0, 1):
        for shift in (-1, 1):
            grown |= np.roll(mask, shift, axis=axis)
    return grown


Drawer = Callable[[int, Rgb, Rng], Pixels]
TILES: dict[str, Drawer] = {"brick wall": _brick, "grass floor": _grass, "water": _water}
SPRITES: dict[str, Drawer] = {"potion": _potion, "sword": _sword, "gem": _gem}
