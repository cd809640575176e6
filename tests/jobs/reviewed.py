"""Run folders in the formats of ``jobs``, for reviews."""

import json
from pathlib import Path

from PIL import Image


def make_run(root, name, *, day=1, status="finished", gpu_hours=0.0, **more):
    folder = root / name
    folder.mkdir(parents=True)
    started = f"2026-11-{day:02d}T08:00:00+00:00"
    attempt = {"started": started, "ended": started, "elapsed_s": 60.0, "reason": ""}
    record = {
        "format": "dgx-pixels-run/1", "job": name.split("/")[0], "run_id": name.split("/")[2],
        "status": status, "figures": {"loss": 0.5}, "gpu_hours": gpu_hours, "attempts": [attempt],
        **more,
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(record))
    return folder


def make_curve(folder, losses):
    rows = [{"num_images": 8 * n, "train/loss": loss} for n, loss in enumerate(losses, start=1)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def make_bench(folder, median, hardware="8 x B200", unit="img/s"):
    row = {
        "name": "base.rate", "unit": unit, "median": median, "p95": median, "fraction": None,
        "higher_is_better": True,
    }  # fmt: skip
    told = {
        "format": "dgx-pixels-bench/1", "bench": "throughput",
        "conditions": {"hardware": hardware}, "rows": [row],
    }  # fmt: skip
    (folder / "bench.json").write_text(json.dumps(told))


def make_report(folder, name="ssim", sets=None):
    value = {"value": 0.5, "low": 0.4, "high": 0.6}
    judged = {
        "info": {"name": name, "unit": "", "higher_is_better": True}, "by": {"run": value},
        "difference": value, "verdict": "better", "against": "",
    }  # fmt: skip
    paths = sets or {"base": "b", "run": "r"}
    sets = {name: {"num_images": 4, "path": path} for name, path in paths.items()}
    told = {
        "format": "dgx-pixels-evaluation/1", "passes": True, "sets": sets, "metrics": [judged],
        "gates": [],
    }  # fmt: skip
    (folder / "report.json").write_text(json.dumps(told))


def make_project(root: Path) -> Path:
    """One of each kind of run, and a second bench."""
    make_curve(make_run(root, "train/tiles/a", gpu_hours=2.0), [0.5, 0.25, 0.125])
    sheet = make_run(root, "generate/tiles/g", day=2) / "contact_sheet.png"
    Image.new("RGB", (4, 4), (200, 10, 10)).save(sheet)
    make_bench(make_run(root, "bench/throughput/x", day=3), 10.0)
    make_bench(make_run(root, "bench/throughput/y", day=4), 12.0)
    make_report(make_run(root, "evaluate/tiles/e", day=9))
    return root
