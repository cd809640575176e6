"""The end of an attempt: who waits for whom, and what stands in the record meanwhile."""

import errno
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from bench.telemetry.summary import read_folder, summarise
from jobs.conf import GenerateJob, TrainJob
from jobs.runtime import record as record_module
from jobs.runtime.config import compose_config
from jobs.runtime.ending import close
from jobs.runtime.freeze import freeze_run
from jobs.runtime.meter import Meter
from jobs.runtime.record import RunRecord
from jobs.runtime.stop import StopFlag
from pipeline.core.outcome import Outcome
from pipeline.core.rundir import RunDir
from pipeline.core.world import World
from tests.fakes.metering import CFG, begin, let_sample, record

ROOT = Path(__file__).parents[2]
QUIET = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "1"}
SLURM = {"SUBMITIT_EXECUTOR": "slurm", "SLURM_JOB_ID": "7"}


def two_nodes(run: RunDir) -> tuple[RunRecord, Meter]:
    """The record of the first node's job and the meter of the second."""
    first, second = (
        World(rank=i, world_size=2, node=i, num_nodes=2, device="cuda:0") for i in range(2)
    )
    begun = begin(run, world=first, env=SLURM | {"SLURMD_NODENAME": "dgx1"})
    other = Meter(CFG, run, second, SLURM | {"SLURMD_NODENAME": "dgx2"})
    let_sample(run, 10)
    return begun, other


@pytest.mark.usefixtures("gpus")
def test_the_last_words_of_other_nodes_are_waited_for(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    begun, other = two_nodes(run)
    later = threading.Timer(0.8, other.stop)
    later.start()
    begun.end("finished", reason="", outcome=Outcome(finished=True, figures={}))
    later.join()
    told = record(run)["attempts"][0]["telemetry"]
    assert (told["nodes"], told["killed"]) == (2, False)
    assert told == summarise(read_folder(run.telemetry)["7.0"])


@pytest.mark.usefixtures("gpus")
def test_after_a_failure_nobody_is_waited_for(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    begun, other = two_nodes(run)
    start_s = time.monotonic()
    begun.end("failed", reason="so", outcome=None)
    assert time.monotonic() - start_s < 3
    assert record(run)["attempts"][0]["telemetry"]["killed"]
    other.stop()


@pytest.mark.usefixtures("gpus")
@pytest.mark.parametrize(("executor", "is_summed"), [("slurm", False), ("inline", True)])
def test_nothing_stands_between_a_checkpoint_and_the_requeue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executor: str, is_summed: bool
) -> None:
    monkeypatch.setenv("SUBMITIT_EXECUTOR", executor)
    run = RunDir(tmp_path)
    begun = begin(run)
    let_sample(run, 5)
    stop = StopFlag(deadline_s=0.0, world=World())
    assert stop.requested()
    outcome = Outcome(finished=False, figures={})
    config = compose_config("train", TrainJob, ["+experiment=smoke"])
    assert close(config, outcome, stop=stop, record=begun, run_dir=run) == "requeue"
    assert record(run)["status"] == "stopped"
    assert ("telemetry" in record(run)) is is_summed
    assert begun.meter is not None
    begun.meter.stop()
    begin(run).end("finished", reason="", outcome=Outcome(finished=True, figures={}))
    first = record(run)["attempts"][0]
    assert first["telemetry"]["energy_j"] > 0
    assert record(run)["telemetry"]["coverage"]["attempts"] == "2 of 2"


def test_a_full_disk_does_not_end_a_job_that_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = RunDir(tmp_path)
    begun = begin(run, world=World())
    write, written = record_module.write_json, []

    def full(path: Path, value: Any) -> None:
        written.append(path)
        if len(written) > 1:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write(path, value)

    monkeypatch.setattr(record_module, "write_json", full)
    begun.end("finished", reason="", outcome=Outcome(finished=True, figures={}))
    assert record(run)["status"] == "finished"
    assert "No space left" in caplog.text


FAILING = """
import sys
import jobs.generate
from jobs.runtime.meter import Meter
from jobs.runtime.worker import Worker
from pipeline.core.files import read_json
from pipeline.core.rundir import RunDir

def broken(cfg, context):
    raise RuntimeError("so")

def stop(self):
    print(read_json(RunDir(self._run_dir.path).run_json)["status"])
    real(self)

real, Meter.stop, jobs.generate.run = Meter.stop, stop, broken
Worker()(sys.argv[1])
"""


def test_a_failure_is_written_down_before_the_meter_is_waited_for(tmp_path: Path) -> None:
    config = compose_config("generate", GenerateJob, [
        "prompts=[gem]", "name=g", "run_id=it", f"runs_dir={tmp_path}", "cluster=inline",
        "cluster.gres='gpu:b200:2'",
    ])  # fmt: skip
    run = freeze_run("generate", config, command="")
    done = subprocess.run(
        [sys.executable, "-c", FAILING, str(run.path)], cwd=ROOT, env=QUIET, capture_output=True,
        text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert set(done.stdout.split()) == {"failed"}
    assert record(run)["attempts"][0]["num_gpus"] == 2
