"""PNG files that carry what made them, with the same bytes every time."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pipeline.core.files import sha256_bytes
from pipeline.core.picture import png_bytes

KEY = "dgx-pixels"
"""Keyword of the iTXt chunk with everything, as JSON."""
PARAMETERS = "parameters"
"""Keyword of the text that other tools show and read."""

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def encode(pixels: Pixels, provenance: Mapping[str, Any]) -> bytes:
    """Encode RGBA or RGB bytes (H, W, C) with ``provenance`` in text chunks."""
    info = PngInfo()
    info.add_itxt(KEY, json.dumps(dict(provenance), sort_keys=True, ensure_ascii=False))
    info.add_itxt(PARAMETERS, parameters_text(provenance))
    return png_bytes(Image.fromarray(pixels), pnginfo=info)


def provenance_of(image: Image.Image) -> dict[str, Any]:
    """Return what ``encode`` put into an opened PNG; empty when it carries nothing of ours."""
    try:
        told = json.loads(image.info.get(KEY, "{}"))
    except (TypeError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def pixels_digest(pixels: Pixels) -> str:
    """Return the sha256 over an image's shape and bytes, whatever file they are in."""
    return sha256_bytes(str(pixels.shape).encode() + np.ascontiguousarray(pixels).tobytes())


def parameters_text(told: Mapping[str, Any]) -> str:
    """Write what made an image as the widespread three-part text: prompt, negative, settings.

    The form that AUTOMATIC1111's web UI began and that image browsers and model sites read.
    """
    settings = {
        "Steps": told["num_steps"],
        "Sampler": told["sampler"],
        "CFG scale": told["guidance_scale"],
        "Seed": told["seed"],
        "Size": f"{told['width_px']}x{told['height_px']}",
        "Model hash": told["model"]["sha256"][:10],
        "Model": told["model"]["family"],
    }
    if told["loras"]:
        hashes = ", ".join(f"{lora['file']}: {lora['sha256'][:10]}" for lora in told["loras"])
        settings["Lora hashes"] = f'"{hashes}"'
    settings["Version"] = "dgx-pixels"
    lines = [told["prompt"]]
    if told["negative"]:
        lines.append(f"Negative prompt: {told['negative']}")
    lines.append(", ".join(f"{key}: {value}" for key, value in settings.items()))
    return "\n".join(lines)
