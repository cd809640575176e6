"""How much an animation flickers.

Shape legend: T frames, H W height width.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float64

from eval.metric import MetricInfo, Scope
from eval.pixels.batch import Batch, steps
from pipeline.pixels.oklab import Bytes

FLICKER_STEP = 0.05
"""OKLab. A smaller change does not show as one."""

METRICS = (
    MetricInfo(
        name="flicker_share",
        unit="",
        higher_is_better=False,
        scope=Scope.set,
        formula=(
            "pixels > 0.05 OKLab (or visible against hidden) from the frame before and the frame"
            " after, while these two agree, / pixels visible in any of the three, 0..1; over all"
            " three frames in a row; NaN with fewer, or nothing visible"
        ),
        source="this project",
        needs="frames of an animation, named such as monster_slime_0_2: frame 2 of monster_slime_0",
    ),
)


def measure_flicker(
    animations: Sequence[Sequence[Bytes]], *, loops: bool = True
) -> Float64[np.ndarray, " N"]:
    """Return each animation's ``flicker_share``.

    Args:
        animations: Frames of one size, straight RGBA, in order.
        loops: Whether the first frame follows the last. A cycle that goes there and back (A B A C)
            shows its turning frames as flicker: compare animations of one kind.
    """
    return np.array([_flicker(frames, loops=loops) for frames in animations], dtype=np.float64)


def _flicker(frames: Sequence[Bytes], *, loops: bool) -> float:
    if len(frames) < 3:
        return float("nan")
    batch = Batch.of(frames)
    lab, seen = batch.lab_BHW3, batch.seen_BHW
    count = len(frames) if loops else len(frames) - 2
    before, middle, after = (np.arange(count) + shift for shift in range(3))
    triples = [part % len(frames) for part in (before, middle, after)]

    def apart(left: int, right: int) -> Bool[np.ndarray, "T H W"]:
        one, other = triples[left], triples[right]
        return steps(lab[one], lab[other], seen[one], seen[other]) > FLICKER_STEP

    flickers = apart(0, 1) & apart(1, 2) & ~apart(0, 2)
    visible = np.logical_or.reduce([seen[part] for part in triples]).sum()
    return float(flickers.sum() / visible) if visible else float("nan")
