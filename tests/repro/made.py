"""Smoke runs made up for tests: pictures drawn at random, no model."""

import dataclasses
from typing import Any

import numpy as np

from pipeline.core.machine import describe
from pipeline.generate.png import pixels_digest
from repro.environment import Environment, read_environment
from repro.smoke import Picture, Smoke

PROMPTS = ["red gem", "blue potion", "orc"]


def environment(**changes: Any) -> Environment:
    told = read_environment({"commit": "c" * 40}, seed=0, machine=describe(None))
    fixed = {"torch": "2.13.0+cpu", "cpu_id": "AuthenticAMD 26/2", "cpu_capability": "AVX512"}
    return dataclasses.replace(told, **(fixed | changes))


def smoke(seed: int = 0, *, levels: int = 0, **changes: Any) -> Smoke:
    """Return a run; with another seed other pictures, with ``levels`` one byte a picture moved."""
    drawn = np.random.default_rng(seed).integers(0, 200, (len(PROMPTS), 32, 32, 4), np.uint8)
    drawn[:, 0, 0, 0] += levels
    pictures = [
        Picture(
            file=f"{number:09d}.png", prompt=prompt, seed=0, noise_index=number,
            pixels_sha256=pixels_digest(pixels),
        )
        for number, (prompt, pixels) in enumerate(zip(PROMPTS, drawn, strict=True))
    ]  # fmt: skip
    whole = Smoke(
        settings={"prompts": PROMPTS, "seed": 0, "num_threads": 1},
        weights_sha256="e" * 64,
        device="cpu",
        pictures=tuple(pictures),
        pixels=tuple(drawn),
        latency_s=(0.1, 0.2, 0.3),
        rate_img_per_s=5.0,
        peak_memory_mib=500.0,
        peak_memory_of="resident memory of the process",
    )
    return dataclasses.replace(whole, **changes)
