"""Names, units, defaults and checks of evaluation. Standard library only."""

import re
from dataclasses import dataclass, field
from pathlib import Path

BOUND = re.compile(r"(?P<stem>\w+?)_(?P<end>min|max)(?P<unit>_\w+)?")
"""A gate's name: ``ssim_min``, or with the metric's unit last, ``psnr_min_db``."""


@dataclass(frozen=True, slots=True)
class Gate:
    """One threshold."""

    name: str
    """As it was written."""
    metric: str
    """Whose value it bounds."""
    is_least: bool
    """Whether the value must be at least, or at most, the bound."""
    bound: float
    """In the metric's unit; itself passes."""


@dataclass(kw_only=True, slots=True)
class EvaluateConfig:
    """What is judged, and by what."""

    run: Path | None = None
    """What is judged: a run folder of jobs.generate, or a folder of PNG."""
    base: Path | None = None
    """What it is held against: the same prompts and seeds, files of the same names."""
    reference: Path | None = None
    """How the pictures should look, files of the same names; none leaves the pair metrics to say
    how far ``run`` is from ``base``."""
    art: Path | None = None
    """Data set of jobs.prepare: held-out art to be like, training art not to be copied."""
    weights: Path | None = None
    """Folder in which metrics look for their weights first."""
    human: Path | None = None
    """Scores that ``rubric=score`` wrote, for the gate ``human_mean_min``."""
    native_size_px: int | None = None
    """Pixels. Side the art is stated to have; adds grid coherence."""
    tiles: bool = False
    """Whether the pictures are meant to repeat; adds seams and tileability."""
    symmetry: bool = False
    """Whether symmetry was asked for."""
    gates: dict[str, float] = field(default_factory=dict)
    """Thresholds: ``<metric>_min`` or ``<metric>_max``, a unit last (``psnr_min_db``). A gate whose
    metric is unavailable fails."""
    num_cases: int = 6
    """Best and worst pictures shown of each."""
    seed: int = 0
    """Decides the draws behind the intervals."""

    def __post_init__(self) -> None:
        if self.num_cases < 0:
            raise ValueError(f"num_cases: {self.num_cases} is below 0")
        for name, bound in self.gates.items():
            gate_of(name, bound)


def gate_of(name: str, bound: float) -> Gate:
    """Read a gate.

    Raises:
        ValueError: The name says neither min nor max.
    """
    match = BOUND.fullmatch(name)
    if match is None:
        raise ValueError(
            f"gates.{name}: is neither <metric>_min nor <metric>_max; such as ssim_min, psnr_min_db"
        )
    metric = match["stem"] + (match["unit"] or "")
    return Gate(name=name, metric=metric, is_least=match["end"] == "min", bound=float(bound))
