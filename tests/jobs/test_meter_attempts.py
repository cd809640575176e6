"""A run of several attempts, or of several jobs in an array: its sums, and what they speak for."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.telemetry.summary import Segment, summarise
from jobs.runtime.conf import TelemetryConfig
from jobs.runtime.meter import attempt_id
from jobs.runtime.record import RunRecord, join_records
from pipeline.core.files import write_json
from pipeline.core.outcome import Outcome
from pipeline.core.rundir import RunDir
from pipeline.core.world import World
from tests.fakes.metering import CFG, begin, let_sample, record

ROOT = Path(__file__).parents[2]
QUIET = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "1"}


@pytest.mark.usefixtures("gpus")
def test_what_a_killed_attempt_used_is_not_lost(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    killed = begin(run, job="train")
    let_sample(run, 6)
    # As after a kill -9: the thread is gone, the record is as it was.
    left = run.run_json.read_bytes()
    assert killed.meter is not None
    killed.meter.stop()
    (path,) = run.telemetry.glob("*")
    path.write_bytes(path.read_bytes()[:-20])
    run.run_json.write_bytes(left)
    again = begin(run, job="train")
    let_sample(run, 12)
    again.end("stopped", reason="SIGTERM", outcome=Outcome(finished=False, figures={}))
    first, second = record(run)["attempts"]
    assert (first["telemetry"]["killed"], second["telemetry"]["killed"]) == (True, False)
    told = record(run)["telemetry"]
    assert told["energy_j"] == first["telemetry"]["energy_j"] + second["telemetry"]["energy_j"]
    assert first["telemetry"]["energy_j"] > 0
    assert told["coverage"]["attempts"] == "2 of 2"
    assert "per_lora" not in told, "it is not finished"
    last = begin(run, job="train")
    last.end("finished", reason="", outcome=Outcome(finished=True, figures={"num_images": 8}))
    assert record(run)["telemetry"]["per_lora"]["count"] == 1


@pytest.mark.usefixtures("gpus")
def test_a_run_from_before_telemetry_is_told_apart(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    RunRecord(run, job="generate", job_id="1", num_ranks=1, num_gpus=2).end(
        "stopped", reason="", outcome=None
    )
    begin(run).end("finished", reason="", outcome=Outcome(finished=True, figures={}))
    assert record(run)["telemetry"]["coverage"]["attempts"] == "1 of 2"


@pytest.mark.usefixtures("gpus")
def test_an_attempt_without_it_lowers_the_coverage(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    for cfg in (CFG, TelemetryConfig(enabled=False)):
        begun = begin(run, cfg=cfg)
        begun.end("stopped", reason="", outcome=Outcome(finished=False, figures={}))
    assert record(run)["telemetry"]["coverage"]["attempts"] == "1 of 2"


def test_attempts_on_slurm_are_known_on_every_node() -> None:
    env = {"SUBMITIT_EXECUTOR": "slurm", "SLURM_JOB_ID": "77"}
    assert attempt_id(env) == attempt_id(env) == "77.0"
    assert attempt_id(env | {"SLURM_RESTART_COUNT": "2"}) == "77.2"
    assert attempt_id({}) != attempt_id({})


def test_hours_of_slices_are_not_zero(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    for _ in range(2):
        RunRecord(run, job="train", job_id="1", num_ranks=1, num_gpus=None).end(
            "stopped", reason="", outcome=None
        )
    assert record(run)["gpu_hours"] is None


@pytest.mark.usefixtures("gpus")
def test_jobs_of_an_array_are_added_up(tmp_path: Path) -> None:
    whole = RunDir(tmp_path)
    for index in range(2):
        part = whole.part(index)
        begun = begin(part)
        let_sample(part, 4)
        begun.end("finished", reason="", outcome=Outcome(finished=True, figures={"num_images": 10}))
    parts = [record(whole.part(i))["telemetry"] for i in range(2)]
    told = record(whole)["telemetry"]
    assert told["energy_j"] == sum(part["energy_j"] for part in parts)
    assert told["per_image"]["energy_j"] == told["energy_j"] / 10
    assert told["coverage"]["attempts"] == "2 of 2"


@pytest.mark.usefixtures("gpus")
def test_jobs_of_an_array_on_one_machine_share_its_gpus(tmp_path: Path) -> None:
    whole = RunDir(tmp_path)
    for index in range(2):
        world = World(device="cuda:0", array_index=index, array_size=2)
        begun = begin(whole.part(index), world=world, env={"SUBMITIT_EXECUTOR": "local"})
        let_sample(whole.part(index), 5)
        begun.end("finished", reason="", outcome=Outcome(finished=True, figures={"num_images": 9}))
    told = record(whole)["telemetry"]
    assert told["energy_j"] is None
    assert "array" in told["energy_why"]
    assert told["per_image"]["energy_j"] is None


def test_a_nodes_packages_are_not_added_up_over_an_array(tmp_path: Path) -> None:
    whole = RunDir(tmp_path)
    for index in range(2):
        segment = Segment({"node": "dgx1", "source": "process"})
        for at_s in range(3):
            segment.add({"t_s": at_s, "host": {"cpu_energy_j": 50.0 * at_s}, "gpus": {}})
        attempt = {
            "job_id": str(index), "started": "1", "ended": "2", "elapsed_s": 2.0, "num_gpus": 0,
            "telemetry": summarise([segment]),
        }  # fmt: skip
        prices = {"per_gpu_hour": None, "per_kwh": 1.0, "currency": "EUR"}
        value = {
            "format": "f", "job": "generate", "run_id": "r", "status": "finished", "figures": {},
            "gpu_hours": 0.0, "attempts": [attempt], "telemetry": {"prices": prices},
        }  # fmt: skip
        write_json(whole.part(index).run_json, value)
        assert attempt["telemetry"]["energy_j"] == 100.0
        joined = join_records(whole)["telemetry"]
    assert (joined["energy_j"], joined["energy_of"], joined["cost"]) == (None, None, None)
    assert "array" in joined["energy_why"]


def test_a_job_is_sampled_killed_and_gone_on_with(tmp_path: Path) -> None:
    """For real: a generation, killed with -9 and submitted again; images are none the wiser."""
    command = [
        sys.executable, "-m", "jobs.generate", "prompts=[red gem, blue potion, axe]",
        "sampler.num_steps=1", "num_seeds=8", "batch_size=2", "name=g", "run_id=it",
        "cluster=inline", "telemetry.interval_s=0.2", f"runs_dir={tmp_path}",
    ]  # fmt: skip
    run = RunDir(tmp_path / "generate" / "g" / "it")
    first = subprocess.Popen(
        command, cwd=ROOT, env=QUIET, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    end_s = time.monotonic() + 60
    while not list(run.images.glob("**/*.png")):
        assert time.monotonic() < end_s
        assert first.poll() is None
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.wait(30)
    done = subprocess.run(
        command, cwd=ROOT, env=QUIET, capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stderr
    told = record(run)
    assert [a["telemetry"]["killed"] for a in told["attempts"]] == [True, False]
    assert told["telemetry"]["coverage"]["attempts"] == "2 of 2"
    assert told["telemetry"]["per_image"]["count"] == 24
    assert told["telemetry"]["rss_peak_mib"] > 100
    assert told["attempts"][1]["telemetry"]["cpu_s"] > 0
