"""What is taken for granted where nothing was measured: each with its unit and its why."""

import dataclasses
import math
from dataclasses import dataclass, field

from bench.scaling_model.hardware import CREATES, NET_HOP, SDXL_SHARE, STORAGE
from pipeline.core.errors import InputError


def _given(value: float, unit: str, why: str) -> float:
    """Return a dataclass field that knows its unit and where its default is from."""
    default: float = field(default=value, metadata={"unit": unit, "why": why})
    return default


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """What is taken for granted where nothing was measured; each is printed beside the result."""

    matmul_share: float = _given(SDXL_SHARE.value, SDXL_SHARE.unit, SDXL_SHARE.source)
    overlap: float = _given(
        0.0,
        "share of backward",
        "none of all_reduce is hidden behind the backward pass: the worst case; 1 is the best",
    )
    backward_share: float = _given(
        2 / 3, "share of compute", "two matmuls a layer backward, one forward"
    )
    fabric_share: float = _given(
        1.0, "share", "beyond 4 nodes the bandwidth of 4 is kept: no congestion; no B200 figure"
    )
    hop_s: float = _given(NET_HOP.value, "s", f"{NET_HOP.source}, beyond the 4 nodes measured")
    vote_hop_s: float = _given(
        30e-6,
        "s",
        "a message of the vote whether to stop (gloo, TCP, a ring of 2(n-1)): our guess between "
        "nodes; the check measures it inside one",
    )
    spread: float = _given(
        0.02, "of the time", "standard deviation from step to step and rank to rank: our guess"
    )
    start_s: float = _given(
        20.0, "s", "from a rank's start to its first batch, without reading weights: our guess"
    )
    tail_s_per_image: float = _given(
        7e-5, "s", "bench.bookkeeping, 100,000 images: what going on with a whole run costs"
    )
    storage_gb_per_s: float = _given(STORAGE.value, "GB/s", STORAGE.source)
    creates_per_s: float = _given(CREATES.value, "files/s", CREATES.source)

    def __post_init__(self) -> None:
        shares = ("matmul_share", "overlap", "backward_share", "fabric_share")
        divides = ("matmul_share", "fabric_share", "storage_gb_per_s", "creates_per_s")
        for each in dataclasses.fields(self):
            value = getattr(self, each.name)
            if not math.isfinite(value) or value < 0 or (value == 0 and each.name in divides):
                raise InputError(f"{each.name}: {value} is not a finite number above 0")
            if value > 1 and each.name in shares:
                raise InputError(f"{each.name}: {value} is above 1")


def assume(changes: list[str]) -> Assumptions:
    """Return the defaults with ``NAME=VALUE`` changes.

    Raises:
        InputError: No such name, or no number.
    """
    known = {each.name for each in dataclasses.fields(Assumptions)}
    values = {}
    for change in changes:
        name, _, text = change.partition("=")
        if name not in known:
            raise InputError(f"--assume {name}: unknown; allowed: {', '.join(sorted(known))}")
        try:
            values[name] = float(text)
        except ValueError:
            raise InputError(f"--assume {name}: {text!r} is not a number") from None
    return Assumptions(**values)
