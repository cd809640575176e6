"""Runs that wait for workers, such as those KEDA starts: ``python -m jobs.queue work runs``.

    python -m jobs.generate +work=tiles32 cluster=queue array=8      a run that waits
    python -m jobs.queue list [RUNS]      what waits, and how far it is
    python -m jobs.queue work [RUNS]      draw images until nothing is left to take
    python -m jobs.queue serve [RUNS]     tell Prometheus and KEDA what waits

Ends with 0 when nothing is left, 1 when a run failed here, 3 when it was told to stop.
"""

import argparse
import sys
from pathlib import Path

from jobs.conf import FOLDER_NAME
from pipeline.core.errors import InputError, one_line_errors

PORT = 9401


@one_line_errors
def main() -> int:
    """List, work, or serve."""
    parser = argparse.ArgumentParser(
        prog="python -m jobs.queue",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=["list", "work", "serve"])
    parser.add_argument("runs", type=Path, nargs="?", default=Path("runs"), help="all runs (runs)")
    parser.add_argument("--by", default="hand", help="what started this worker, on record (hand)")
    parser.add_argument("--port", type=int, default=PORT, help=f"to serve on ({PORT})")
    parser.add_argument("--address", default="127.0.0.1", help="to serve on (127.0.0.1)")
    parser.add_argument(
        "--images-per-worker", type=int, default=256, metavar="N",
        help="images left for which one more worker is wanted (256)",
    )  # fmt: skip
    given = parser.parse_args()
    if given.images_per_worker < 1:
        raise InputError(f"--images-per-worker: {given.images_per_worker} is below 1")
    if not FOLDER_NAME.fullmatch(given.by):
        raise InputError(f"--by: {given.by!r} is no name; allowed: letters, digits, _-.")
    runs_dir = given.runs.absolute()
    if given.what == "work":
        from jobs.runtime.worker_loop import WorkerLoop

        return WorkerLoop(runs_dir, tell=_say, starter=given.by).run()
    if given.what == "serve":
        from jobs.runtime.queue_metrics import QueueCollector, serve

        collector = QueueCollector(runs_dir, images_per_worker=given.images_per_worker)
        serve(collector, given.address, given.port, tell=_say)
        return 0
    return _list(runs_dir)


def _list(runs_dir: Path) -> int:
    from jobs.runtime.queue import read_queue

    queue = read_queue(runs_dir)
    for each in queue:
        made = each.num_images - each.num_left
        state = f"{each.num_workers} of {each.array} workers"
        if each.failures:
            state += f", {len(each.failures)} failures: {each.failures[-1]}"
        if each.is_given_up:
            state += f"; given up, python -m jobs.resubmit {each.run_dir.path}"
        _say(f"{each.name}: {made} of {each.num_images} images, {state}")
    if not queue:
        _say("nothing waits")
    return 0


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
