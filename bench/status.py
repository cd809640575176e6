"""How long a week's page takes over a project of many runs: ``python -m bench.status``.

Makes the run folders in a temporary folder, one in twenty failed and one in a thousand broken, and
times ``python -m jobs.status`` as a person would run it, start of Python included.
"""

import argparse
import datetime
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from pipeline.core.timing import Stopwatch

WEEK = "2026-W47"
LAST_DAY = datetime.datetime(2026, 11, 22, tzinfo=datetime.UTC)
NUM_DAYS = 42
JOBS = ("train", "generate", "generate", "evaluate", "prepare")
REASONS = ("data.path: /home/user/{}/data is no folder", "CUDA out of memory, {} MiB asked for")


def main() -> int:
    """Make, time, print."""
    parser = argparse.ArgumentParser(prog="python -m bench.status", description=__doc__)
    parser.add_argument("--num-runs", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="copy the page there")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        watch = Stopwatch()
        make_project(Path(folder), num_runs=given.num_runs)
        print(f"{given.num_runs:,} run folders made in {watch.elapsed_s():.1f} s")
        page = Path(folder) / "STATUS.md"
        for _ in range(given.repeats):
            watch = Stopwatch()
            subprocess.run(_command(Path(folder), page), check=True, stdout=subprocess.DEVNULL)
            print(f"jobs.status: {watch.elapsed_s():.2f} s, {page.stat().st_size:,} bytes")
        if given.keep is not None:
            given.keep.write_bytes(page.read_bytes())
    return 0


def _command(folder: Path, page: Path) -> list[str]:
    runs = f"--runs-dir={folder / 'runs'}"
    return [sys.executable, "-m", "jobs.status", "--week", WEEK, runs, f"--out={page}"]


def make_project(folder: Path, *, num_runs: int) -> None:
    """Write ``num_runs`` run folders over six weeks; the same ones each time."""
    for index in range(num_runs):
        job = JOBS[index % len(JOBS)]
        run = folder / "runs" / job / f"name{index % 40}" / f"run{index:06d}"
        run.mkdir(parents=True)
        text = json.dumps(_record(index, job), indent=2)
        (run / "run.json").write_text(text[:200] if index % 1000 == 999 else text)


def _record(index: int, job: str) -> dict[str, Any]:
    began = LAST_DAY - datetime.timedelta(minutes=index * 37 % (NUM_DAYS * 24 * 60))
    failed = index % 20 in {7, 10} and index % 40 < 20
    elapsed_s = 60.0 + index % 3000
    attempt = {
        "job_id": str(100_000 + index),
        "num_ranks": 8,
        "num_nodes": 1,
        "num_gpus": 8,
        "started": began.isoformat(),
        "ended": (began + datetime.timedelta(seconds=elapsed_s)).isoformat(),
        "reason": REASONS[index % 2].format(index) if failed else "",
        "elapsed_s": elapsed_s,
        "position": 1000,
        "telemetry": {
            "sources": ["dcgm"],
            "gpu_s": 8 * elapsed_s,
            "energy_j": 8 * elapsed_s * 700,
            "cpu_s": elapsed_s,
            "sampled_s": elapsed_s,
            "throttled_s": {},
            "xids": [79] if index % 2000 == 3 else [],
        },
    }
    return {
        "format": "dgx-pixels-run/1",
        "job": job,
        "run_id": f"run{index:06d}",
        "status": "failed" if failed else "finished",
        "figures": {"num_images": 1000, "validation_loss": 0.02 + index % 100 / 1000},
        "gpu_hours": 8 * elapsed_s / 3600,
        # One run in ten was requeued: its first attempt ended an hour before.
        "attempts": [attempt] * (2 if index % 10 == 0 else 1),
    }


if __name__ == "__main__":
    sys.exit(main())
