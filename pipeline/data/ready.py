"""What DALI makes of a file before the stream's part, for pixels that are in memory already.

Shape legend: H W height width, C channels.
"""

from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from pipeline.data.conf import Background


def ready_pixels(
    rgba_HWC: UInt8[np.ndarray, "H W 4"], background: Background
) -> Float[np.ndarray, "4 H W"]:
    """Return ready pixels as ``dali.make_ready`` does of their PNG, bit for bit."""
    f = np.float32
    pixels_CHW: np.ndarray[Any, np.dtype[np.float32]] = rgba_HWC.astype(f).transpose(2, 0, 1)
    if background is not Background.keep:
        return pixels_CHW
    colour, alpha = pixels_CHW[:3], pixels_CHW[3:]
    premultiplied = (colour / f(127.5) - f(1)) * (alpha / f(255))
    return np.concatenate([premultiplied, alpha / f(127.5) - f(1)])
