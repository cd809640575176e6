"""What sampling costs: training steps with and without it, turn about, in one process.

Sampled every second, five times as often as beside a job. Load on the machine moves both alike, so
the ratio is taken pair by pair.
"""

import statistics
import tempfile
from pathlib import Path

from bench.conf import BenchConfig
from bench.record import Row, row
from bench.telemetry.sampler import Sampler
from bench.trainstep import STEPS, build, our_round
from bench.turns import ShouldStop, turns
from pipeline.core.timing import Stopwatch
from pipeline.core.world import World

INTERVAL_S = 1.0
ROUNDS_A_TURN = 3
"""Rounds between two switches: long enough for several samples."""


def measure(cfg: BenchConfig, world: World, should_stop: ShouldStop) -> tuple[list[Row], list[str]]:
    """Return both rates, the share that is lost, and a sentence with its standard error."""
    trainer, stream = build(cfg, world)
    rates: dict[bool, list[float]] = {False: [], True: []}
    with tempfile.TemporaryDirectory() as folder:
        for turn, counts in turns(cfg, should_stop):
            # Each goes first as often as the other.
            for with_sampler in (turn % 2 == 0, turn % 2 == 1):
                sampler = Sampler(
                    Path(folder) / "node.jsonl",
                    attempt=str(turn),
                    node="node",
                    interval_s=INTERVAL_S,
                )
                if with_sampler:
                    # Not what looking for a source costs: once a job, that is.
                    sampler.start().wait_for_first()
                watch = Stopwatch()
                for _ in range(ROUNDS_A_TURN):
                    our_round(trainer, stream)
                elapsed_s = watch.elapsed_s()
                sampler.stop()
                if counts:
                    rates[with_sampler].append(
                        ROUNDS_A_TURN * STEPS * cfg.batch_sizes[0] / elapsed_s
                    )
    without = row("without", rates[False], unit="img/s", warmup=cfg.warmup)
    beside = row(
        "with",
        rates[True],
        unit="img/s",
        warmup=cfg.warmup,
        ceiling=without.median,
        ceiling_is="the same steps without sampling",
    )
    lost = [100 * (1 - a / b) for a, b in zip(rates[True], rates[False], strict=True)]
    share = row("overhead", lost, unit="%", warmup=cfg.warmup, higher_is_better=False)
    return [without, beside, share], [_sentence(lost)]


def _sentence(lost: list[float]) -> str:
    told = f"sampling every {INTERVAL_S:g} s costs {statistics.median(lost):.2f} % of training"
    if len(lost) < 2:
        return told
    # Of a median: pi/2 times the variance of a mean, for values near normal.
    error = 1.2533 * statistics.stdev(lost) / len(lost) ** 0.5
    return f"{told} (standard error {error:.2f} %)"
