import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.telemetry.summary import read_folder, summarise
from jobs.conf import GenerateJob, TrainJob
from jobs.runtime import meter as module
from jobs.runtime.conf import TelemetryConfig
from jobs.runtime.config import compose_config, freeze, thaw
from jobs.runtime.freeze import freeze_run
from jobs.runtime.meter import Meter
from pipeline.core.errors import InputError
from pipeline.core.outcome import Outcome
from pipeline.core.rundir import RunDir
from pipeline.core.world import World
from tests.fakes.metering import CFG, GPU, Gpus, begin, let_sample, record

ROOT = Path(__file__).parents[2]


@pytest.mark.usefixtures("gpus")
def test_energy_and_cost_of_an_image_stand_in_the_record(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    begun = begin(run)
    let_sample(run, 5)
    begun.end("finished", reason="", outcome=Outcome(finished=True, figures={"num_images": 10}))
    told = record(run)["telemetry"]
    assert told["energy_j"] > 0
    assert told["energy_j"] % 200 == 0
    assert told["per_image"]["count"] == 10
    assert told["per_image"]["energy_j"] == told["energy_j"] / 10
    assert told["cost"] == pytest.approx(told["gpu_hours"] * 3600)
    assert told["vram_peak_mib"] == 9.0
    assert told["coverage"]["attempts"] == "1 of 1"
    assert "per_lora" not in told


def test_trouble_with_telemetry_is_not_the_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("no sums today")

    monkeypatch.setattr(module, "read_folder", broken)
    run = RunDir(tmp_path)
    begin(run).end("finished", reason="", outcome=Outcome(finished=True, figures={"num_images": 1}))
    assert record(run)["status"] == "finished"
    assert "telemetry" not in record(run)
    assert "no sums today" in caplog.text


def test_it_can_be_left_out(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    begun = begin(run, cfg=TelemetryConfig(enabled=False))
    begun.end("finished", reason="", outcome=Outcome(finished=True, figures={}))
    assert not run.telemetry.exists()
    assert "telemetry" not in record(run)


def test_submitting_loads_no_numpy() -> None:
    code = "import sys, jobs.runtime.launch; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_one_rank_of_a_node_samples(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    Meter(CFG, run, World(rank=1, world_size=2, local_rank=1, local_world_size=2), {}).stop()
    assert not run.telemetry.exists()


def test_a_job_on_the_cpu_is_not_charged_for_the_nodes_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "openers", lambda **_: [Gpus])
    run = RunDir(tmp_path)
    meter = Meter(CFG, run, World(), {})
    let_sample(run, 4)
    meter.stop()
    assert told_of(run) == (["process"], ["no GPU is the job's"])


def told_of(run: RunDir) -> tuple[list[str], list[str]]:
    """Sources and scopes of the only attempt, none of which told of a GPU."""
    ((segment,),) = read_folder(run.telemetry).values()
    assert not segment.gpus
    told = summarise([segment])
    return told["sources"], told["scopes"]


def test_gpus_that_cannot_be_found_are_not_those_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "openers", lambda **_: [Gpus])
    monkeypatch.setattr(module, "visible_uuids", lambda _: None)
    run = RunDir(tmp_path)
    meter = Meter(CFG, run, GPU, {"CUDA_VISIBLE_DEVICES": "0,9"})
    let_sample(run, 4)
    meter.stop()
    assert told_of(run) == (["process"], ["GPUs of CUDA_VISIBLE_DEVICES not found"])


@pytest.mark.usefixtures("gpus")
def test_a_gpu_in_slices_has_no_energy_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the job is not told of slices by name."""
    monkeypatch.setattr(module, "mig_is_on", lambda uuids: uuids == ("a", "b"))
    run = RunDir(tmp_path)
    begun = begin(run, env={"CUDA_VISIBLE_DEVICES": "0,1"})
    let_sample(run, 5)
    begun.end("finished", reason="", outcome=Outcome(finished=True, figures={}))
    assert record(run)["telemetry"]["energy_j"] is None
    assert "MIG" in record(run)["telemetry"]["energy_why"]
    assert record(run)["telemetry"]["scopes"] == ["2 GPUs"]


def test_the_file_has_the_name_that_slurm_gives_the_node(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    begin(run, world=World(), env={"SLURMD_NODENAME": "dgx7"}).end(
        "stopped", reason="", outcome=None
    )
    assert [path.name for path in run.telemetry.glob("*")] == ["dgx7.jsonl"]


def test_a_config_from_before_telemetry_still_thaws(tmp_path: Path) -> None:
    config = compose_config("generate", GenerateJob, ["prompts=[gem]"])
    plain = yaml.safe_load(freeze(config, base=tmp_path))
    del plain["telemetry"]
    assert thaw(GenerateJob, yaml.safe_dump(plain)).telemetry == TelemetryConfig()


def test_telemetry_may_change_when_a_run_goes_on(tmp_path: Path) -> None:
    base = ["+experiment=smoke", f"runs_dir={tmp_path}", "run_id=it"]
    freeze_run("train", compose_config("train", TrainJob, base), command="")
    other = compose_config("train", TrainJob, [*base, "telemetry.price_per_kwh=0.3"])
    freeze_run("train", other, command="")
    with pytest.raises(InputError, match="seed"):
        freeze_run("train", compose_config("train", TrainJob, [*base, "seed=4"]), command="")


@pytest.mark.parametrize(
    "override", ["telemetry.interval_s=0", "telemetry.price_per_kwh=-1", "telemetry.intervall_s=1"]
)
def test_a_mistake_names_its_key(override: str) -> None:
    with pytest.raises(InputError, match=override.split("=", maxsplit=1)[0]):
        compose_config("train", TrainJob, ["+experiment=smoke", override])
