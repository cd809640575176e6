"""PNG files that carry what made them, with the same bytes every time."""

import json
from collections.abc import Mapping
from io import BytesIO
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pipeline.generate.sample import Pixels

KEY = "dgx-pixels"
"""Keyword of the iTXt chunk."""


def encode(pixels: Pixels, provenance: Mapping[str, Any]) -> bytes:
    """Encode RGBA or RGB bytes (H, W, C) with ``provenance`` as JSON in an iTXt chunk."""
    info = PngInfo()
    info.add_itxt(KEY, json.dumps(dict(provenance), sort_keys=True, ensure_ascii=False))
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", pnginfo=info)
    return buffer.getvalue()


def provenance_of(image: Image.Image) -> dict[str, Any]:
    """Return what ``encode`` put into an opened PNG; empty when it carries nothing of ours."""
    text = image.info.get(KEY)
    return dict(json.loads(text)) if text else {}
