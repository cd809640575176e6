"""A data set, a LoRA and sprites, each made by a run that the trackers mirror to W&B."""

import json
from pathlib import Path

# In a process of its own, as a job is: the client keeps settings and a service for a whole process.
WRITE = """
import json, os, sys
from pathlib import Path
root, art = Path(sys.argv[1]), Path(sys.argv[2])
from jobs.runtime.conf import TrackerConfig, WandbMode
from jobs.runtime.naming import made_by
from jobs.runtime.trackers import build_trackers
from pipeline.core.rundir import RunDir
lora = root / "train" / "tiles" / "a"
jobs = {
    "prepare/tiles/d": {},
    "train/tiles/a": {"model": {"family": "pixelnano", "size_px": 32}, "data": {"path": str(art)}},
    "generate/tiles/g": {"loras": [{"path": str(lora), "weight": 1.0}]},
}
for name, config in jobs.items():
    run_dir = RunDir(root / name)
    for kind in ("DATA", "CACHE", "CONFIG"):
        os.environ[f"WANDB_{kind}_DIR"] = str(run_dir.path / "wandb" / kind.lower())
    run_dir.lora.mkdir(parents=True)
    (run_dir.path / "run.json").write_text(json.dumps({"status": "finished", "gpu_hours": 1.5}))
    (run_dir.path / "recipe.json").write_text("{}")
    (run_dir.lora / "x.safetensors").write_bytes(b"weights")
    cfg = TrackerConfig(wandb=WandbMode(sys.argv[3]), tags=["mine"])
    tracker = build_trackers(cfg, run_dir, config=config, is_main=True)
    for step in range(4):
        tracker.log(8 * step, {"train/loss": 1 / (step + 1)})
    figures = {"out": str(art)}
    tracker.finish(made_by(run_dir, figures), figures={"loss": 0.25}, succeeded=True)
"""
NAMES = ("prepare/tiles/d", "train/tiles/a", "generate/tiles/g")


def make_art(folder: Path) -> Path:
    """A data set so far as its record tells."""
    folder.mkdir()
    told = {"name": "tiles", "digest": "0123456789abcdef"}
    (folder / "dataset.json").write_text(json.dumps(told))
    return folder
