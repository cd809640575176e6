"""The repeats of a bench, which end when the job is told to stop."""

from collections.abc import Callable, Iterator

from bench.conf import BenchConfig

ShouldStop = Callable[[], bool]


class StoppedError(Exception):
    """The job was told to stop; half a measurement is none."""


def turns(cfg: BenchConfig, should_stop: ShouldStop) -> Iterator[tuple[int, bool]]:
    """Yield the number of each repeat and whether it counts, those that warm up first.

    Raises:
        StoppedError: It is time to stop.
    """
    for turn in range(cfg.warmup + cfg.repeats):
        look(should_stop)
        yield turn, turn >= cfg.warmup


def look(should_stop: ShouldStop) -> None:
    """Stop between two things that are measured.

    Raises:
        StoppedError: It is time to.
    """
    if should_stop():
        raise StoppedError
