"""Durations by the monotonic clock. The time of day belongs to jobs/runtime."""

from time import perf_counter


class Stopwatch:
    """Seconds since it was made or last lapped."""

    def __init__(self) -> None:
        self._start = perf_counter()

    def elapsed_s(self) -> float:
        """Return seconds since the start or the last lap."""
        return perf_counter() - self._start

    def lap_s(self) -> float:
        """Return ``elapsed_s`` and start again."""
        now = perf_counter()
        elapsed = now - self._start
        self._start = now
        return elapsed
