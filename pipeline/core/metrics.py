"""What a library needs of a tracker; the trackers themselves are in jobs/runtime."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable


@runtime_checkable
class Tracker(Protocol):
    """Receives figures against images seen. Each rank may hold one; the main rank's writes."""

    def log(self, num_images: int, metrics: Mapping[str, float]) -> None:
        """Record figures at a position. Keys carry their unit last, such as ``speed/img_per_s``."""

    def log_image(self, num_images: int, name: str, path: Path) -> None:
        """Record a picture that stands on disk at ``path``."""

    def observe(self, name: str, value: float, *, count: int = 1) -> None:
        """Add a value to a distribution, ``count`` times: for who watches, not for the record."""

    def rewind(self, num_images: int) -> None:
        """Drop records after ``num_images``: the run resumes there and will write them again."""


class NullTracker:
    """Records nothing; for ranks that do not write, and for benchmarks."""

    def log(self, num_images: int, metrics: Mapping[str, float]) -> None:
        """Do nothing."""

    def log_image(self, num_images: int, name: str, path: Path) -> None:
        """Do nothing."""

    def observe(self, name: str, value: float, *, count: int = 1) -> None:
        """Do nothing."""

    def rewind(self, num_images: int) -> None:
        """Do nothing."""
