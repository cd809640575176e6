"""What a counter grew by, whatever happened to it in between."""

STALE_S = 1.0
"""How old a reading may be when it is told."""


class Growth:
    """Adds up the steps of a counter that may be reset, stand still, or read nonsense once.

    A reading below the one before is a reset only if the next one stays below as well; what was
    counted between the last reading and a reset is not known and left out. So the sum is never more
    than what was really counted.

    Args:
        max_per_s: A faster step is a jump, not a count; None: any is believed. A source may tell
            what it read a second ago, so the time of a step is taken to be a second longer.
    """

    def __init__(self, max_per_s: float | None = None) -> None:
        self.total = 0.0
        self.num_resets = 0
        self.is_known = False
        """Whether a step was believed: one reading alone says nothing of what was counted."""
        self._max_per_s = max_per_s
        self._last: float | None = None
        self._last_s = 0.0
        self._low: float | None = None
        """A reading below ``_last``, not yet believed."""

    def add(self, value: float, at_s: float) -> None:
        """Take a reading at a time on any clock that only goes forward."""
        if self._last is None:
            self._last, self._last_s = value, at_s
            return
        if value < self._last:
            if self._low is None:
                self._low = value
                return
            # Twice below: it was reset. Counted from the first low reading on.
            self._last, self._low = min(self._low, value), None
            self.num_resets += 1
        self._low = None
        step = value - self._last
        step_s = at_s - self._last_s + STALE_S
        too_fast = self._max_per_s is not None and step > self._max_per_s * step_s
        if too_fast:
            self.num_resets += 1
        else:
            self.total += step
            self.is_known = True
        self._last, self._last_s = value, at_s
