"""Write the week's ``STATUS.md`` from records: ``python -m jobs.status``.

Run folders, bench results and baselines, ``sacct`` where it answers, git, and W&B where it is
named. The same records and the same ``--week`` give the same bytes. What nobody measured is "not
measured"; what nobody set, a goal or a price, has no default.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.telemetry.cost import Prices
from jobs.records.week import Week
from jobs.runtime.today import now
from jobs.weekly.goals import Goals
from jobs.weekly.page import write_page
from jobs.weekly.report import Places, gather
from pipeline.core.errors import InputError, one_line_errors
from pipeline.core.files import write_atomic


@one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Gather, write, and say where."""
    given = _parser().parse_args(argv)
    moment = now()
    week = Week.of(moment) if given.week is None else Week.parse(given.week)
    places = Places(
        runs_dir=given.runs_dir,
        baselines_dir=given.baselines_dir,
        root=Path(),
        page=given.out,
        wandb=given.wandb,
    )
    goals = Goals(latency_p95_ms=given.goal_latency_ms)
    has_price = given.price_per_gpu_hour is not None or given.price_per_kwh is not None
    prices = Prices(
        per_gpu_hour=given.price_per_gpu_hour,
        per_kwh=given.price_per_kwh,
        currency=given.currency,
    )
    report = gather(places, week, goals=goals, prices=prices if has_price else None, moment=moment)
    try:
        write_atomic(given.out, write_page(report).encode())
    except OSError as error:
        raise InputError(f"--out: {given.out} cannot be written ({error.strerror})") from None
    print(f"{given.out}: {week.label}, {len(report.found.runs):,} runs")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m jobs.status",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--week", metavar="2026-W48", help="ISO week (the present one, UTC)")
    add("--runs-dir", type=Path, default=Path("runs"), help="of the runs (runs)")
    add("--baselines-dir", type=Path, default=Path("bench/baselines"), help="(bench/baselines)")
    add("--out", type=Path, default=Path("STATUS.md"), help="file to write (STATUS.md)")
    add("--wandb", metavar="ENTITY/PROJECT", help="ask W&B for runs that have no folder here")
    add("--goal-latency-ms", type=_amount, help="M4: p95 of requests of one image, ms")
    add("--price-per-gpu-hour", type=_amount, help="for all runs, instead of their configs'")
    add("--price-per-kwh", type=_amount, help="for all runs, instead of their configs'")
    add("--currency", default=Prices().currency, help=f"of both ({Prices().currency})")
    return parser


def _amount(text: str) -> float:
    value = float(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 0")
    return value


if __name__ == "__main__":
    sys.exit(main())
