"""Is this machine fit for a job? ``python -m jobs.preflight``, ten seconds at most.

Exit status 0: all is well; 1: warnings, jobs may run; 2: something is broken, and what to do. Looks
at GPUs, their links, health and limits, driver, CUDA and NCCL, Slurm, the run folder, W&B, models.
``--write-hardware`` writes what this machine says of itself as a page instead.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.preflight.check import Request, check_node
from bench.preflight.conf import PROFILES
from bench.preflight.finding import worst
from bench.preflight.report import table, write_report
from jobs.runtime.preflight import pinned_models, read_hub, read_wandb, write_page
from jobs.runtime.world import host_name
from pipeline.core.errors import InputError, one_line_errors


@one_line_errors
def main() -> int:
    """Look, print, and tell by the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m jobs.preflight",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--profile",
        choices=["auto", *PROFILES],
        default="auto",
        help="what to expect (auto: by the GPUs that are there)",
    )
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"), help="of the runs (runs)")
    parser.add_argument("--num-nodes", type=int, default=1, help="that write there together (1)")
    parser.add_argument("--mig", action="store_true", help="GPUs are cut by MIG on purpose")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there as well")
    parser.add_argument(
        "--write-hardware",
        type=Path,
        nargs="?",
        const=Path(),
        metavar="FILE",
        help="write a page about this machine (RUNS_DIR/hardware-HOST.md) and do no more",
    )
    given = parser.parse_args()
    if given.num_nodes < 1:
        raise InputError(f"--num-nodes: {given.num_nodes} is below 1")
    if given.write_hardware is not None:
        named = given.write_hardware != Path()
        path = given.write_hardware if named else given.runs_dir / f"hardware-{host_name()}.md"
        with _named("--write-hardware", path):
            write_page(path, runs_dir=given.runs_dir)
        print(path)
        return 0
    hub, is_hub_offline = read_hub()
    request = Request(
        profile=PROFILES.get(given.profile),
        mig=True if given.mig else None,
        runs_dir=given.runs_dir,
        num_nodes=given.num_nodes,
        wandb=read_wandb(),
        models=pinned_models(),
        hub=hub,
        is_hub_offline=is_hub_offline,
    )
    report = check_node(request)
    print(table(report, host=host_name()))
    if given.json is not None:
        with _named("--json", given.json):
            write_report(given.json, report, host=host_name())
    return int(worst(report.findings))


@contextmanager
def _named(option: str, path: Path) -> Iterator[None]:
    """Turn a file that cannot be written into a line that names the option."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{option}: {path} cannot be written ({error.strerror})") from None


if __name__ == "__main__":
    sys.exit(main())
