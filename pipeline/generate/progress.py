"""How far a run is, told to who watches while it goes on."""

from pipeline.core.metrics import Tracker
from pipeline.core.timing import Stopwatch
from pipeline.generate.ledger import Ledger

REPORT_S = 5.0
"""Seconds between two rows, at least."""


class Progress:
    """Rows of figures over all processes of the run, from what their manifests say.

    Args:
        tracker: Where rows go; None: another process tells them.
        ledger: What is made.
        num_asked: Images asked for.
    """

    def __init__(self, tracker: Tracker | None, ledger: Ledger, *, num_asked: int) -> None:
        self.tracker, self.ledger, self.num_asked = tracker, ledger, num_asked
        self._lap = Stopwatch()
        self._records = ledger.num_records

    def drew(self, num_images: int, time_s: float) -> None:
        """Count a batch of this process by each image's share of its time."""
        if self.tracker is not None:
            self.tracker.observe("image_time_s", time_s / num_images, count=num_images)

    def tell(self) -> None:
        """Write a row, where the last one is ``REPORT_S`` old."""
        if self.tracker is None or self._lap.elapsed_s() < REPORT_S:
            return
        self.ledger.refresh()
        made = self.ledger.num_records
        rate = (made - self._records) / self._lap.lap_s()
        self._records = made
        there = len(self.ledger)
        row = {"speed/img_per_s": rate, "speed/images_waiting": self.num_asked - there}
        self.tracker.log(there, row)
