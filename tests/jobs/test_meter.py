import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.telemetry.stream import Rows
from bench.telemetry.summary import Segment, read_folder, summarise
from jobs.conf import GenerateJob, TelemetryConfig, TrainJob
from jobs.runtime import meter as module
from jobs.runtime import record as record_module
from jobs.runtime.config import compose_config, freeze, thaw
from jobs.runtime.ending import close
from jobs.runtime.freeze import freeze_run
from jobs.runtime.meter import Meter, attempt_id
from jobs.runtime.record import RunRecord, join_records
from jobs.runtime.stop import StopFlag
from pipeline.core.errors import InputError
from pipeline.core.files import write_json
from pipeline.core.outcome import Outcome
from pipeline.core.rundir import RunDir
from pipeline.core.world import World

ROOT = Path(__file__).parents[2]
GPU = World(device="cuda:0")
QUIET = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "1"}


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


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(module, "openers", lambda **_: [Gpus])
    monkeypatch.setattr(module, "visible_uuids", lambda _: ("a", "b"))
    yield


CFG = TelemetryConfig(interval_s=0.1, price_per_gpu_hour=3600.0)


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
    end_s = time.monotonic() + 10
    while sum(f.read_text().count("\n") for f in run.telemetry.glob("*")) < count:
        assert time.monotonic() < end_s
        time.sleep(0.02)


def record(run: RunDir) -> dict[str, Any]:
    return json.loads(run.run_json.read_text())


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


@pytest.mark.usefixtures("gpus")
def test_an_attempt_without_it_lowers_the_coverage(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    for cfg in (CFG, TelemetryConfig(enabled=False)):
        begun = begin(run, cfg=cfg)
        begun.end("stopped", reason="", outcome=Outcome(finished=False, figures={}))
    assert record(run)["telemetry"]["coverage"]["attempts"] == "1 of 2"


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


def test_hours_of_slices_are_not_zero(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    for _ in range(2):
        RunRecord(run, job="train", job_id="1", num_ranks=1, num_gpus=None).end(
            "stopped", reason="", outcome=None
        )
    assert record(run)["gpu_hours"] is None


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


def test_attempts_on_slurm_are_known_on_every_node() -> None:
    env = {"SUBMITIT_EXECUTOR": "slurm", "SLURM_JOB_ID": "77"}
    assert attempt_id(env) == attempt_id(env) == "77.0"
    assert attempt_id(env | {"SLURM_RESTART_COUNT": "2"}) == "77.2"
    assert attempt_id({}) != attempt_id({})


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
