"""A run with a meter beside it, on two GPUs that count joules."""

import json
from collections.abc import Mapping
from typing import Any

from bench.telemetry.stream import Rows
from jobs.runtime.conf import TelemetryConfig
from jobs.runtime.meter import Meter
from jobs.runtime.record import RunRecord
from pipeline.core.rundir import RunDir
from pipeline.core.world import World
from tests.fakes.sampling import until

GPU = World(device="cuda:0")
CFG = TelemetryConfig(interval_s=0.1, price_per_gpu_hour=3600.0)


class Gpus:
    """Two GPUs of 100 J a reading each."""

    name = "fake"

    def __init__(self) -> None:
        self.joules = 0.0

    def read(self) -> Rows:
        self.joules += 100.0
        return {name: {"energy_j": self.joules, "vram_used_mib": 9.0} for name in ("a", "b")}

    def close(self) -> None:
        pass


def begin(
    run: RunDir,
    *,
    job: str = "generate",
    cfg: TelemetryConfig = CFG,
    world: World = GPU,
    env: Mapping[str, str] | None = None,
) -> RunRecord:
    meter = Meter(cfg, run, world, env or {})
    return RunRecord(
        run,
        job=job,
        job_id="1",
        num_ranks=2,
        num_gpus=2,
        num_nodes=world.num_nodes,
        meter=meter,
    )


def let_sample(run: RunDir, count: int) -> None:
    until(
        lambda: sum(f.read_text().count("\n") for f in run.telemetry.glob("*")) >= count,
        limit_s=10.0,
    )


def record(run: RunDir) -> dict[str, Any]:
    return json.loads(run.run_json.read_text())
