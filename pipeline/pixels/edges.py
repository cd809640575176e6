"""Colour edges of pictures, added up along rows and columns.

Shape legend: B batch, H W height width, C channels; profiles: one number a border between pixels.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

Profile = np.ndarray[Any, np.dtype[np.float64]]

STEP_FLOOR = 8
"""Bytes. Smaller steps are no edges: compression leaves them in flat parts and at its blocks."""

LOWER_SIGMA = 0.16
"""Share of a normal distribution that lies one standard deviation below its median and farther."""


@dataclass(frozen=True, slots=True)
class Axis:
    """Edges along one axis."""

    place: Profile
    """Borders between pixels, from 1."""
    weight: Profile
    """Adds up to 1."""
    count: float
    """How many equally strong edges they stand for."""

    def transform(self, frequency: Profile) -> np.ndarray[Any, np.dtype[np.complex128]]:
        """Return the normalised transform at a few frequencies (cycles a pixel)."""
        waves = np.exp(-2j * np.pi * frequency[:, None] * self.place)
        summed: np.ndarray[Any, np.dtype[np.complex128]] = (waves * self.weight).sum(axis=1)
        return summed


def premultiplied(images_BHWC: UInt8[Tensor, "B H W C"]) -> UInt8[Tensor, "B H W C"]:
    """Multiply colour by alpha, so that hidden colours make no edges."""
    if images_BHWC.shape[-1] == 3 or bool((images_BHWC[..., 3] == 255).all()):
        return images_BHWC
    alpha_BHW1 = images_BHWC[..., 3:].to(torch.int32)
    colour_BHWC = images_BHWC[..., :3].to(torch.int32) * alpha_BHW1 // 255
    return torch.cat([colour_BHWC.to(torch.uint8), images_BHWC[..., 3:]], dim=-1)


def steps(left: Tensor, right: Tensor) -> Tensor:
    """Return the largest step of any channel, bytes; the channel is the last axis but two."""
    away = torch.maximum(left, right) - torch.minimum(left, right)
    largest = away.select(-3, 0)
    for channel in range(1, away.shape[-3]):
        largest = torch.maximum(largest, away.select(-3, channel))
    return largest


def profiles(images_BCHW: UInt8[Tensor, "B C H W"], *, dim: int) -> Profile:
    """Return the sum of steps across each border along ``dim``, (B, size - 1)."""
    size = images_BCHW.shape[dim]
    step = steps(images_BCHW.narrow(dim, 1, size - 1), images_BCHW.narrow(dim, 0, size - 1))
    edge = step.clamp(min=STEP_FLOOR) - STEP_FLOOR
    summed: Profile = edge.sum(dim=4 - dim, dtype=torch.int32).cpu().numpy().astype(np.float64)
    return summed


def edges(profile: Profile) -> Axis:
    """Take away what noise puts everywhere, and its spread; even out strong and weak edges."""
    if len(profile) == 0:
        return Axis(np.zeros(0), np.zeros(0), 0.0)
    floor, low = float(np.median(profile)), float(np.quantile(profile, LOWER_SIGMA))
    weight = np.sqrt(np.maximum(profile - floor - (floor - low), 0.0))
    total, squares = weight.sum(), (weight * weight).sum()
    if total == 0:
        return Axis(np.zeros(0), np.zeros(0), 0.0)
    return Axis(np.arange(1.0, len(profile) + 1.0), weight / total, float(total * total / squares))
