"""The folder a run lives in: names of everything that is in it, and nothing else.

runs/<job>/<experiment>/<run_id>/
  config.yaml  code/  code.json  inputs/  env.json  run.json  metrics.jsonl
  checkpoints/<images seen>/   lora/   samples/
  recipe.json  images/  manifest-<writer>.jsonl  manifest.parquet  contact_sheet.png  claims/
  logs/<job id>/<rank>.log     telemetry/<node>.jsonl   preflight/<node>.json
  submitit/   array/<index>/run.json  telemetry/  preflight/
  wandb/offline-run-<time>-<id>/   wandb/uses.json  linked.json
  bench.json  smoke.json
  report.json  report.html  report.png   reference/index.json  *.png
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RunDir:
    """Paths inside one run folder. Makes nothing on disk by itself."""

    path: Path
    whole: "RunDir | None" = None
    """The run this is one job's part of; None: it is the run."""

    def part(self, index: int) -> "RunDir":
        """Where one job of an array keeps its own record, lock and environment."""
        return RunDir(self.path / "array" / f"{index:05d}", whole=self)

    @property
    def config(self) -> Path:
        """Resolved config, frozen at submission."""
        return self.path / "config.yaml"

    @property
    def code(self) -> Path:
        """Copy of the tracked code the job runs from."""
        return self.path / "code"

    @property
    def code_json(self) -> Path:
        """Commit, diff digest, lock digest and config digest of the submission."""
        return self.path / "code.json"

    @property
    def env_json(self) -> Path:
        """Versions and machine the worker saw."""
        return self.path / "env.json"

    @property
    def run_json(self) -> Path:
        """What happened: status, figures, restarts."""
        return self.path / "run.json"

    @property
    def metrics(self) -> Path:
        """One JSON object a line, keyed by ``num_images``."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """One folder a checkpoint, named by images seen."""
        return self.path / "checkpoints"

    @property
    def lora(self) -> Path:
        """The trained adapter, diffusers/PEFT and kohya twins."""
        return self.path / "lora"

    @property
    def images(self) -> Path:
        """Generated sprites."""
        return self.path / "images"

    @property
    def reference(self) -> Path:
        """Pictures an evaluation was held against, byte for byte, and their index."""
        return self.path / "reference"

    @property
    def samples(self) -> Path:
        """Sample grids drawn while training."""
        return self.path / "samples"

    @property
    def logs(self) -> Path:
        """One folder a job id, one file a rank."""
        return self.path / "logs"

    def preflight(self, node: str) -> Path:
        """What was seen of a node before the job began on it."""
        return self.path / "preflight" / f"{node}.json"

    @property
    def telemetry(self) -> Path:
        """What the hardware did, one file a node, all attempts in it."""
        return self.path / "telemetry"

    @property
    def submitit(self) -> Path:
        """The launcher's own files."""
        return self.path / "submitit"

    @property
    def table(self) -> Path:
        """One row an image, written when every image is there."""
        return self.path / "manifest.parquet"

    @property
    def contact_sheet(self) -> Path:
        """The first images at a glance."""
        return self.path / "contact_sheet.png"

    def manifest(self, shard: int) -> Path:
        """Records of the images one rank has put in place."""
        return self.path / f"manifest-{shard:05d}.jsonl"
