"""Changes to a picture of which one knows which is worse; alpha is kept where it is."""

import numpy as np

Picture = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


def noised(picture: Picture, amplitude: float, *, seed: int = 0) -> Picture:
    """The same noise at every amplitude, so that more of it is more of the same."""
    noise = np.random.default_rng(seed).normal(0.0, 1.0, (*picture.shape[:2], 3))
    changed = picture.copy()
    changed[..., :3] = np.clip(picture[..., :3] + amplitude * noise, 0, 255)
    return changed


def blurred(picture: Picture, times: int) -> Picture:
    colour = picture[..., :3].astype(np.float64)
    for _ in range(times):
        for axis in (0, 1):
            pad = [(1, 1) if a == axis else (0, 0) for a in range(3)]
            near = np.moveaxis(np.pad(colour, pad, mode="edge"), axis, 0)
            colour = np.moveaxis(0.25 * near[:-2] + 0.5 * near[1:-1] + 0.25 * near[2:], 0, axis)
    return np.dstack([np.rint(colour).astype(np.uint8), picture[..., 3]])


def swapped(picture: Picture) -> Picture:
    """Another palette for the same shapes."""
    return np.ascontiguousarray(picture[..., [1, 2, 0, 3]])


def shifted(picture: Picture) -> Picture:
    return np.roll(picture, 1, axis=1)
