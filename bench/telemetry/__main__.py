"""Sample this node on its own for a while: ``python -m bench.telemetry --seconds 60 --out DIR``.

With a command after ``--``, samples beside it until it ends, and ends with its status.
What sampling costs: ``python -m jobs.bench bench=telemetry``.
"""

import argparse
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.telemetry.sampler import Sampler
from bench.telemetry.summary import Segment, read_segments, summarise
from pipeline.core.errors import InputError, one_line_errors

LEAST_INTERVAL_S = 0.1


@one_line_errors
def main() -> int:
    """Sample, then print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.telemetry", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long without a command")
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between samples")
    parser.add_argument("--out", type=Path, default=Path("runs/dmon"), help="folder of the file")
    parser.add_argument("command", nargs="*", help="after --: what to run beside it")
    told = parser.parse_args()
    if told.interval < LEAST_INTERVAL_S or told.seconds <= 0:
        raise InputError(f"--interval: at least {LEAST_INTERVAL_S}; --seconds: above 0")
    path = told.out / f"{platform.node()}.jsonl"
    told.out.mkdir(parents=True, exist_ok=True)
    attempt = f"alone-{os.getpid()}-{time.monotonic_ns()}"
    sampler = Sampler(path, attempt=attempt, node=platform.node(), interval_s=told.interval).start()
    try:
        status = _beside(told.command, told.seconds)
    finally:
        sampler.stop()
    segments = list(read_segments(path, only={attempt}))
    if not segments:
        raise InputError(f"{path}: nothing could be written")
    print(table(segments))
    print(path)
    return status


def _beside(command: list[str], seconds: float) -> int:
    if command:
        try:
            return subprocess.run(command, check=False).returncode
        except OSError as error:
            raise InputError(f"{command[0]}: {error.strerror}") from None
    try:
        time.sleep(seconds)
    except KeyboardInterrupt:
        return 130
    return 0


def table(segments: list[Segment]) -> str:
    """Return the figures of one attempt as lines of text."""
    told = summarise(segments)
    lines = [f"node {', '.join(str(s.head['node']) for s in segments)}, {told['gpus']} GPUs"]
    lines += [f"source {source}" for source in told["sources"]]
    lines += [f"  not {why}" for segment in segments for why in segment.head.get("no", [])]
    keys = (
        "sampled_s",
        "samples",
        "energy_j",
        "energy_of",
        "energy_why",
        "cpu_energy_j",
        "cpu_s",
        "own_cpu_s",
    )
    more = ("rss_peak_mib", "vram_peak_mib", "throttled_s", "xids", "counters", "notes")
    lines += [_line(key, told[key]) for key in (*keys, *more) if told[key] not in (None, {}, [])]
    lines += [
        _line(name, f"{level['mean']:>10} {level['p95']:>10} {level['max']:>10}  (mean p95 max)")
        for name, level in told["levels"].items()
    ]
    return "\n".join(lines)


def _line(name: str, value: Any) -> str:
    return f"{name:<28} {value}"


if __name__ == "__main__":
    sys.exit(main())
