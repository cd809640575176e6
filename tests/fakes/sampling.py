"""A sampler beside a source that tells what a test gives it, and what stands in its file."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.telemetry.sampler import Sampler
from bench.telemetry.stream import Rows, SourceError

UUID = "GPU-a"


class Fake:
    """A source that tells what a test gives it, then dies."""

    name = "fake"

    def __init__(self, rows: Iterator[Rows] | None = None) -> None:
        self.rows = rows
        self.joules = 0.0
        self.closed = False

    def read(self) -> Rows:
        if self.rows is not None:
            try:
                return next(self.rows)
            except StopIteration:
                raise SourceError("fell off the bus") from None
        self.joules += 10.0
        return {UUID: {"energy_j": self.joules, "power_w": 700.0, "vram_used_mib": 5.0}}

    def close(self) -> None:
        self.closed = True


def sampling(
    path: Path, source: Callable[[], Fake] | None = None, *, attempt: str = "1", **more: Any
) -> Sampler:
    ways = [source] if source else []
    return Sampler(
        path,
        attempt=attempt,
        node="n",
        interval_s=0.02,
        find_ways=lambda _: (ways, {"scope": "1 GPU"}),
        **more,
    )


def until(what: Callable[[], bool], *, limit_s: float = 5.0) -> None:
    end_s = time.monotonic() + limit_s
    while not what():
        assert time.monotonic() < end_s
        time.sleep(0.01)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def has_lines(path: Path, count: int) -> Callable[[], bool]:
    return lambda: path.exists() and path.read_text().count("\n") >= count
