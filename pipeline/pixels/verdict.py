"""Whether one finished image is what was asked for: one answer and one figure a check."""

from typing import Any

import numpy as np

from pipeline.pixels.conf import FinishConfig
from pipeline.pixels.oklab import Bytes


def judge(
    pixels_HWC: Bytes,
    record: dict[str, Any],
    cfg: FinishConfig,
    *,
    native_size_px: int | None,
) -> dict[str, Any]:
    """Return ``passes`` over all, and for each check ``passes``, ``measured`` and ``limit``.

    Args:
        pixels_HWC: The finished image, RGB or RGBA.
        record: What the steps said of it.
        cfg: What was asked for; checks nobody asked for are left out.
        native_size_px: Side the image must have, when there is one.
    """
    alpha_HW = pixels_HWC[..., 3] if pixels_HWC.shape[2] == 4 else None
    checks: dict[str, dict[str, Any]] = {}
    if native_size_px is not None:
        height, width = pixels_HWC.shape[:2]
        checks["native_size"] = {
            "passes": height == width == native_size_px,
            "measured": [width, height],
            "limit": native_size_px,
        }
    limit = cfg.verdict.max_colours
    if limit is None and "palette" in record:
        limit = record["palette"]["num_colours"]
    num_colours = visible_colours(pixels_HWC)
    checks["colours"] = {
        "passes": limit is None or num_colours <= limit,
        "measured": num_colours,
        "limit": limit,
    }
    soft_px = 0 if alpha_HW is None else int(((alpha_HW > 0) & (alpha_HW < 255)).sum())
    checks["hard_alpha"] = {"passes": soft_px == 0, "measured": soft_px, "limit": 0}
    if "grid" in record:
        checks["grid_coherent"] = {
            "passes": bool(record["grid"]["sure"])
            and record["grid"]["coherent"] >= cfg.verdict.min_coherent,
            "measured": record["grid"]["coherent"],
            "limit": cfg.verdict.min_coherent,
        }
    if "seams" in record and cfg.seams.check:
        worst = max(record["seams"]["score_x"], record["seams"]["score_y"])
        checks["seams"] = {
            "passes": worst <= cfg.seams.max_score,
            "measured": worst,
            "limit": cfg.seams.max_score,
        }
    return {"passes": all(check["passes"] for check in checks.values())} | checks


def visible_colours(pixels_HWC: Bytes) -> int:
    """Count the distinct colours of pixels that are not wholly transparent."""
    flat = pixels_HWC.reshape(-1, pixels_HWC.shape[2])
    if flat.shape[1] == 4:
        flat = flat[flat[:, 3] > 0]
    return len(np.unique(flat[:, :3], axis=0))
