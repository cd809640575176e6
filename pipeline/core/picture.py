"""Pictures to PNG bytes and back, whole in memory: files are put in place by ``core.files``."""

from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image


def png_bytes(picture: Image.Image, **options: Any) -> bytes:
    """Encode a picture; ``options`` are Pillow's for PNG. The same bytes every time."""
    buffer = BytesIO()
    picture.save(buffer, format="PNG", **options)
    return buffer.getvalue()


def load_picture(file: Path) -> Image.Image:
    """Read a picture and close its file: many left open would use up what a process may open."""
    with Image.open(file) as picture:
        return picture.copy()
