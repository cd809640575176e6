"""Turning hues: another palette whose ramps are as bright as before, step by step.

Colours turn in the plane of equal luma (Rec. 601's Cb and Cr). Where a turned colour would leave
the cube of bytes it is drawn towards grey of the same luma, as far as it must. Rounding then moves
luma by half a level at most, so that of two colours more than a level apart the brighter one stays
the brighter one. What a colour becomes depends on the colour and the angle alone.

Shape legend: H W height width, C channels (straight RGBA), N colours.
"""

import math
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from pipeline.core.seeds import derive_uniform

LUMA = np.array([0.299, 0.587, 0.114])
CB, CR = 0.5 / (1 - LUMA[2]), 0.5 / (1 - LUMA[0])
LEAST_DEG = 30.0
"""A smaller turn would hardly be seen."""
TRIES = 8

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def turn_hues(pixels_HWC: UInt8[np.ndarray, "H W 4"], *, run_seed: int, index: int) -> Pixels:
    """Turn all visible colours by an angle that belongs to the position.

    Alpha and what cannot be seen stay as they are, and so does the number of colours: an angle that
    would make two of them one is passed over, and after 8 of those the image stays as it is.
    """
    visible_HW = pixels_HWC[..., 3] > 0
    colours_N3, places = np.unique(pixels_HWC[visible_HW][:, :3], axis=0, return_inverse=True)
    for attempt in range(TRIES):
        share = derive_uniform(run_seed, f"hue/{attempt}", index)
        turned_N3 = turn_colours(colours_N3, LEAST_DEG + share * (360 - 2 * LEAST_DEG))
        if len(np.unique(turned_N3, axis=0)) == len(colours_N3):
            out = pixels_HWC.copy()
            out[visible_HW, :3] = turned_N3[places.reshape(-1)]
            return out
    return pixels_HWC


def turn_colours(rgb_N3: UInt8[np.ndarray, "N 3"], angle_deg: float) -> Pixels:
    """Turn each colour's hue at constant luma; greys stay."""
    luma_N1 = rgb_N3 @ LUMA[:, None]
    away_N3 = rgb_N3 - luma_N1
    cos, sin = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    cb_N, cr_N = away_N3[:, 2] * CB, away_N3[:, 0] * CR
    blue_N = (cos * cb_N + sin * cr_N) / CB
    red_N = (cos * cr_N - sin * cb_N) / CR
    green_N = -(LUMA[0] * red_N + LUMA[2] * blue_N) / LUMA[1]
    turned_N3 = np.stack([red_N, green_N, blue_N], axis=1)
    out = np.rint(luma_N1 + turned_N3 * _room(luma_N1, turned_N3))
    return np.where(away_N3.any(axis=1, keepdims=True), out, rgb_N3).astype(np.uint8)


def _room(luma_N1: Float[np.ndarray, "N 1"], away_N3: Float[np.ndarray, "N 3"]) -> Any:
    """Return how much of the way from grey stays within 0 to 255, at most all of it."""
    limit_N3 = np.where(away_N3 > 0, 255 - luma_N1, luma_N1)
    share_N3 = limit_N3 / np.maximum(np.abs(away_N3), 1e-9)
    return np.minimum(share_N3.min(axis=1, keepdims=True), 1.0)
