"""Run folders that look like those of the real thing, without running anything."""

import json
from pathlib import Path
from typing import Any


def attempt(started: str = "2026-11-25T02:00:00+00:00", **changes: Any) -> dict[str, Any]:
    """An attempt of one hour on two GPUs."""
    return {
        "job_id": "101", "num_ranks": 2, "num_nodes": 1, "num_gpus": 2, "started": started,
        "ended": started, "reason": "", "elapsed_s": 3600.0, "position": 64,
    } | changes  # fmt: skip


def metered(**changes: Any) -> dict[str, Any]:
    """What telemetry told of such an attempt."""
    return {
        "sources": ["nvml"], "gpu_s": 7200.0, "energy_j": 3.6e6, "cpu_s": 1800.0,
        "sampled_s": 3600.0, "throttled_s": {}, "xids": [],
    } | changes  # fmt: skip


def write_run(
    runs: Path, where: str, *attempts: dict[str, Any], status: str = "finished", **figures: Any
) -> Path:
    """Write ``run.json`` of ``<job>/<name>/<run_id>`` and return its folder."""
    run = runs / where
    run.mkdir(parents=True, exist_ok=True)
    record = {
        "format": "dgx-pixels-run/1", "job": where.split("/", maxsplit=1)[0], "run_id": run.name,
        "status": status, "figures": figures, "gpu_hours": 2.0,
        "attempts": list(attempts) or [attempt()],
    }  # fmt: skip
    (run / "run.json").write_text(json.dumps(record))
    return run
