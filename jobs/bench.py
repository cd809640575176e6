"""Measure: ``python -m jobs.bench bench=throughput``; hold two results against each other.

python -m jobs.bench bench=loader baseline=true      # also writes bench/baselines/
python -m jobs.bench show FILE
python -m jobs.bench compare BEFORE AFTER [--allow conditions.versions.torch]
"""

import argparse
import dataclasses
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from jobs.conf import BenchJob
from jobs.runtime.cli import main as launch_main
from jobs.runtime.context import JobContext
from pipeline.core.errors import one_line_errors
from pipeline.core.files import read_json
from pipeline.core.outcome import Outcome
from pipeline.core.rundir import RunDir

SCHEMA = BenchJob
RESULT = "bench.json"
EXIT_WORSE = 1

log = logging.getLogger(__name__)


def run(cfg: BenchJob, context: JobContext) -> Outcome:
    """Measure, and write ``bench.json`` and, when asked, the baseline."""
    from bench.places import keep
    from bench.record import write_result
    from bench.run import run_bench
    from bench.table import result_table

    told = read_json(context.run_dir.code_json)
    measured = read_json(context.run_dir.run_json)["attempts"][-1]["started"]
    result = run_bench(
        cfg,
        world=context.world,
        folder=context.run_dir.path,
        should_stop=context.stop_requested,
    )
    if result is None:
        return Outcome(finished=False)
    result = dataclasses.replace(
        result,
        command=told["command"],
        commit=told["commit"],
        dirty=told["diff_sha256"] is not None,
        measured=measured,
    )
    write_result(context.run_dir.path / RESULT, result)
    for line in result_table(result).splitlines():
        log.info("%s", line)
    if cfg.baseline:
        log.info("baseline %s", keep(cfg.baselines_dir, result))
    figures = {row.name: row.median for row in result.rows if row.median is not None}
    context.tracker.log(0, {f"bench/{name}": value for name, value in figures.items()})
    return Outcome(finished=True, figures=dict(figures))


def compare(argv: Sequence[str]) -> int:
    """Print how each row changed; 1 when any is worse or lost."""
    from bench.compare import NOISE, compare_results
    from bench.record import read_result
    from bench.table import change_table

    parser = argparse.ArgumentParser(prog="python -m jobs.bench compare")
    parser.add_argument("before", type=Path, help="bench.json, baseline, or run folder")
    parser.add_argument("after", type=Path)
    parser.add_argument(
        "--allow", action="append", default=[], help="condition or setting that may differ"
    )
    parser.add_argument("--noise", type=float, default=NOISE, help="share that is no change")
    given = parser.parse_args(argv)
    changes = compare_results(
        read_result(_file(given.before)),
        read_result(_file(given.after)),
        allow=tuple(given.allow),
        noise=given.noise,
    )
    print(change_table(changes))
    return EXIT_WORSE if any(each.verdict in ("worse", "lost") for each in changes) else 0


def show(argv: Sequence[str]) -> int:
    """Print a result."""
    from bench.record import read_result
    from bench.table import result_table

    parser = argparse.ArgumentParser(prog="python -m jobs.bench show")
    parser.add_argument("file", type=Path, help="bench.json, baseline, or run folder")
    print(result_table(read_result(_file(parser.parse_args(argv).file))))
    return 0


def _file(path: Path) -> Path:
    return path / RESULT if RunDir(path).code_json.exists() else path


@one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Compare, show, or launch."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["compare"]:
        return compare(arguments[1:])
    if arguments[:1] == ["show"]:
        return show(arguments[1:])
    return launch_main("bench", SCHEMA, arguments)


if __name__ == "__main__":
    sys.exit(main())
