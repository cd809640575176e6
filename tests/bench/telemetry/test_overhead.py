import time
from types import SimpleNamespace
from typing import Any

import pytest

from bench.telemetry import overhead
from bench.telemetry.sampler import Sampler
from pipeline.core.world import World


def test_looking_for_a_source_is_not_part_of_what_sampling_costs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[Sampler] = []
    ready: list[bool] = []

    class Slow(Sampler):
        """One whose probes take a while."""

        def __init__(self, *arguments: Any, **more: Any) -> None:
            super().__init__(*arguments, find_ways=self.look, **more)
            made.append(self)

        @staticmethod
        def look(_: Any) -> Any:
            time.sleep(0.2)
            return [], {}

    def a_round(*_: Any) -> None:
        time.sleep(0.001)
        if made[-1]._thread.ident is not None:
            ready.append(made[-1]._begun.is_set())

    monkeypatch.setattr(overhead, "Sampler", Slow)
    monkeypatch.setattr(overhead, "build", lambda *_: (None, None))
    monkeypatch.setattr(overhead, "our_round", a_round)
    cfg: Any = SimpleNamespace(warmup=1, repeats=2, batch_sizes=[1])
    rows, _ = overhead.measure(cfg, World(), lambda: False)
    assert [row.name for row in rows] == ["without", "with", "overhead"]
    assert ready
    assert all(ready)
