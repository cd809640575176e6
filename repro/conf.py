"""Settings of the smoke test. Standard library only."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.models.conf import ModelConfig


@dataclass(kw_only=True, slots=True)
class SmokeConfig:
    """Ten fixed pictures, checked. What they are is not a setting: see ``repro/smoke.py``."""

    model: ModelConfig
    """What draws: the shipped model, which the reference is of."""
    reference: Path = Path("repro/reference")
    """Folder of the recorded pictures and hashes."""
    record: bool = False
    """Keep this run's pictures and hashes as the reference, instead of being checked against it."""
