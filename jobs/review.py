"""The project at a glance: ``python -m jobs.review``; ``python -m jobs.review sync`` for W&B.

Without a word, one HTML page of all runs is written that needs nothing beside it: runs, loss
curves, samples, LoRA against base, benches, GPU-hours. ``sync`` sends runs that W&B wrote offline.
"""

import argparse
import sys
from pathlib import Path

from pipeline.core.errors import InputError, one_line_errors
from pipeline.core.files import write_atomic

RUNS_HELP = "folder of all runs, or run folders"


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
    parser.add_argument("runs", type=Path, nargs="*", default=[Path("runs")], help=RUNS_HELP)
    parser.add_argument("--out", type=Path, default=Path("build/review.html"), help="the page")
    parser.add_argument("--title", default="DGX-Pixels: review", help="of the page")
    parser.add_argument("--rows", type=int, default=200, help="runs in the table, the newest (200)")
    given = parser.parse_args()
    if given.rows < 1:
        raise InputError(f"--rows: {given.rows} is below 1")
    from jobs.records.find import read_runs
    from jobs.reviews.page import review_page

    runs, broken = read_runs(given.runs)
    page = review_page(runs, title=given.title, broken=broken, max_rows=given.rows)
    write_atomic(given.out, page.encode())
    print(f"{given.out}: {len(runs)} of {len(runs) + len(broken)} runs could be read")
    return 0


def _sync(argv: list[str]) -> int:
    """Send runs that W&B wrote offline; what is sent already is passed over. 1: some are left."""
    from jobs.runtime.lineage import link
    from jobs.runtime.sync import (
        NO_ANSWER,
        PAUSE_S,
        TIMEOUT_S,
        TRIES,
        find_offline,
        send,
        still_written,
    )

    parser = argparse.ArgumentParser(prog="python -m jobs.review sync", description=_sync.__doc__)
    parser.add_argument("runs", type=Path, nargs="*", default=[Path("runs")], help=RUNS_HELP)
    parser.add_argument("--dry-run", action="store_true", help="say what would be sent")
    parser.add_argument("--running", action="store_true", help="runs that run.json says run too")
    parser.add_argument("--tries", type=int, default=TRIES, help=f"of each run ({TRIES})")
    parser.add_argument(
        "--timeout-s", type=float, default=TIMEOUT_S, help=f"seconds of a try ({TIMEOUT_S:g})"
    )
    given = parser.parse_args(argv)
    for name, value in (("--tries", given.tries), ("--timeout-s", given.timeout_s)):
        if value < 1:
            raise InputError(f"{name}: {value:g} is below 1")
    found = find_offline(given.runs)
    unsent = [each for each in found if not each.is_sent]
    running = [] if given.running else [each for each in unsent if still_written(each, found)]
    todo = [each for each in unsent if each not in running]
    print(f"{len(found)} offline runs: {len(found) - len(unsent)} sent before, {len(todo)} to send")
    for each in running:
        print(f"left: {each.name}: it runs (killed without a word? --running sends it)")
    if given.dry_run:
        for each in todo:
            print(f"would send: {each.name}")
        return 0
    left = send(todo, tries=given.tries, timeout_s=given.timeout_s, pause_s=PAUSE_S, tell=_say)
    for lost in left:
        print(f"left: {lost.offline.name}: {lost.why}")
    # A server that did not answer would keep each of these waiting too.
    is_silent = any(lost.why == NO_ANSWER for lost in left)
    loose = [] if is_silent else link(found, tell=_say)
    for line in loose:
        print(f"left: {line}")
    print(f"{len(todo) - len(left)} sent, {len(left) + len(running)} left")
    return 1 if left or loose else 0


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
