"""What sampling costs: training steps with and without it, turn about, in one process."""

import json
import statistics
import tempfile
from pathlib import Path

from bench.record import Conditions, here
from bench.telemetry.sampler import Sampler
from bench.trainstep import STEPS, build, our_round
from pipeline.core.errors import InputError
from pipeline.data.conf import DataConfig
from pipeline.models.conf import FamilyName, LoraConfig, ModelConfig
from train.conf import TrainConfig

WARMUP = 2
ROUNDS_A_TURN = 3
"""Rounds between two switches: long enough for several samples."""


def measure(dataset: Path, *, interval_s: float, num_pairs: int) -> int:
    """Print both rates and their ratio; the last line is JSON.

    Args:
        dataset: Data set to train on.
        interval_s: Seconds between samples; the shorter, the worse for us.
        num_pairs: Comparisons, at least 2.

    Raises:
        InputError: Fewer than 2 comparisons.
    """
    if num_pairs < 2:
        raise InputError(f"--pairs: {num_pairs} is below 2")
    cfg = TrainConfig(
        model=ModelConfig(family=FamilyName.pixelnano),
        data=DataConfig(path=dataset),
        lora=LoraConfig(),
    )
    trainer, stream = build(cfg)
    rates: dict[bool, list[float]] = {False: [], True: []}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(WARMUP + num_pairs):
            for with_sampler in (turn % 2 == 0, turn % 2 == 1):
                sampler = Sampler(
                    Path(folder) / "node.jsonl",
                    attempt=str(turn),
                    node="node",
                    interval_s=interval_s,
                )
                if with_sampler:
                    sampler.start()
                got = [our_round(trainer, stream) for _ in range(ROUNDS_A_TURN)]
                sampler.stop()
                if turn >= WARMUP:
                    rates[with_sampler].append(statistics.median(got))
    ratios = [a / b for a, b in zip(rates[True], rates[False], strict=True)]
    return _tell(rates, ratios, here(), interval_s)


def _tell(
    rates: dict[bool, list[float]],
    ratios: list[float],
    conditions: Conditions,
    interval_s: float,
) -> int:
    median = statistics.median(ratios)
    # Of a median: pi/2 times the variance of a mean, for ratios near normal.
    error = 1.2533 * statistics.stdev(ratios) / len(ratios) ** 0.5
    result = {
        "bench": "telemetry_overhead",
        "interval_s": interval_s,
        "without_img_per_s": round(statistics.median(rates[False]), 2),
        "with_img_per_s": round(statistics.median(rates[True]), 2),
        "overhead_percent": round(100 * (1 - median), 3),
        "standard_error_percent": round(100 * error, 3),
        "pairs": len(ratios),
        "steps_a_round": STEPS,
        "hardware": conditions.hardware,
    }
    print(
        f"without {result['without_img_per_s']} img/s   with {result['with_img_per_s']} img/s   "
        f"overhead {result['overhead_percent']} % (standard error "
        f"{result['standard_error_percent']} %)"
    )
    print(json.dumps(result))
    return 0
