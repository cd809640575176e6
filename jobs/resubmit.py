"""Submit a frozen run again: ``python -m jobs.resubmit runs/train/tiles32/ID``."""

import argparse
import sys
from pathlib import Path

from jobs.runtime.config import CONFIGS
from jobs.runtime.freeze import load_job
from jobs.runtime.launch import launch
from pipeline.core.errors import InputError, one_line_errors
from pipeline.core.rundir import RunDir


@one_line_errors
def main() -> int:
    """Submit with the cluster settings the run was frozen with."""
    parser = argparse.ArgumentParser(prog="python -m jobs.resubmit", description=__doc__)
    parser.add_argument("run", type=Path, help="run folder")
    parser.add_argument("--wait", action="store_true", help="show progress until the end")
    arguments = parser.parse_args()
    run_dir = RunDir(arguments.run.resolve())
    if not run_dir.config.is_file():
        raise InputError(f"{run_dir.path}: not a run folder (no config.yaml)")
    job = run_dir.path.parts[-3]
    if not (CONFIGS / f"{job}.yaml").is_file():
        raise InputError(f"{run_dir.path}: not a run folder (runs/<job>/<name>/<run_id>)")
    _, config = load_job(run_dir)
    wait = arguments.wait or None
    array = getattr(config, "array", 1)
    return launch(run_dir, config.cluster, job=job, wait=wait, array=array)


if __name__ == "__main__":
    sys.exit(main())
