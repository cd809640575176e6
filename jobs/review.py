"""The project at a glance: ``python -m jobs.review``; with ``sync`` or ``publish`` on W&B.

Without a word, one HTML page of all runs is written that needs nothing beside it: runs, loss
curves, samples, LoRA against base, benches, GPU-hours. ``sync`` sends runs that W&B wrote offline;
``publish`` puts the same onto the project's page there, as a report and saved views.
"""

import argparse
import sys
from pathlib import Path

from pipeline.core.errors import InputError, one_line_errors
from pipeline.core.files import write_atomic

MAX_TITLE = 128
"""Characters in the title of a report on W&B."""
TITLE = "DGX-Pixels: review"
RUNS_HELP = "folder of all runs, or run folders"


@one_line_errors
def main() -> int:
    """Write the page, or send offline runs, or put the review onto the project's page."""
    verb = {"sync": _sync, "publish": _publish}.get("".join(sys.argv[1:2]))
    if verb is not None:
        return verb(sys.argv[2:])
    parser = argparse.ArgumentParser(
        prog="python -m jobs.review",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", type=Path, nargs="*", default=[Path("runs")], help=RUNS_HELP)
    parser.add_argument("--out", type=Path, default=Path("build/review.html"), help="the page")
    parser.add_argument("--title", default=TITLE, help="of the page")
    parser.add_argument("--rows", type=int, default=200, help="runs in the table, the newest (200)")
    given = parser.parse_args()
    if given.rows < 1:
        raise InputError(f"--rows: {given.rows} is below 1")
    from jobs.records.find import read_runs
    from jobs.reviews.page import review_page
    from jobs.reviews.places import roots_of

    runs, broken = read_runs(given.runs)
    page = review_page(
        runs, title=given.title, roots=roots_of(given.runs), broken=broken, max_rows=given.rows
    )
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
    _check_patience(given)
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


def _publish(argv: list[str]) -> int:
    """Put a report and saved views onto the project's page on W&B, in the place of those before."""
    from jobs.records.find import read_runs
    from jobs.runtime.conf import TrackerConfig
    from jobs.runtime.publish import TIMEOUT_S, TRIES, open_project

    parser = argparse.ArgumentParser(
        prog="python -m jobs.review publish", description=_publish.__doc__
    )
    parser.add_argument("runs", type=Path, nargs="*", default=[Path("runs")], help=RUNS_HELP)
    own = TrackerConfig().project
    parser.add_argument("--project", default=own, help=f"on W&B ({own})")
    parser.add_argument("--entity", help="whose project it is (the account's own)")
    parser.add_argument("--title", default=TITLE, help="of the report, by which it is found again")
    parser.add_argument("--tries", type=int, default=TRIES, help=f"of each step ({TRIES})")
    parser.add_argument(
        "--timeout-s", type=float, default=TIMEOUT_S, help=f"seconds of an answer ({TIMEOUT_S:g})"
    )
    given = parser.parse_args(argv)
    _check_patience(given)
    if not 1 <= len(given.title) <= MAX_TITLE:
        raise InputError(f"--title: {len(given.title)} characters; 1 to {MAX_TITLE} are allowed")
    runs, broken = read_runs(given.runs)
    project = open_project(
        given.project, given.entity, tries=given.tries, timeout_s=given.timeout_s
    )
    # Its library loads W&B's client, which must come after it was told how long to wait.
    from jobs.reviews.board import project_report, project_views
    from jobs.reviews.panels import facts_of

    facts = facts_of(runs)
    views = [project.save_view(view) for view in project_views(project, facts)]
    report = project.save_report(project_report(project, facts, title=given.title, views=views))
    for each in (*views, report):
        print(f"{'made   ' if each.is_new else 'updated'} {each.title}: {each.url}")
    for line in broken:
        print(f"left out: {line}")
    return 0


def _check_patience(given: argparse.Namespace) -> None:
    for name, value in (("--tries", given.tries), ("--timeout-s", given.timeout_s)):
        if value < 1:
            raise InputError(f"{name}: {value:g} is below 1")


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
