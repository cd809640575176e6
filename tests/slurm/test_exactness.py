"""On a real Slurm: a run that is interrupted and resumed makes what an undisturbed one makes.

Needs the cluster of deploy/slurm-local (`make test-slurm` brings it up).
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from pipeline.core.rundir import RunDir
from repro.compare import compare_runs
from tests.slurm.cluster import ENDED_S, job, ranks_of, record, wait_finished, wait_until

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]

NUM_IMAGES = 512
TRAINED_S = 24
RANKS = [int(n) for n in os.environ.get("EXACTNESS_RANKS", "2").split(",")]


def submit(runs: Path, run_id: str, ranks: int, *more: str) -> tuple[RunDir, str]:
    out = job(
        "jobs.train", "+experiment=smoke", f"data.path={runs / 'data'}", f"runs_dir={runs}",
        f"run_id={run_id}", f"num_images={NUM_IMAGES}", "save_every=96", "sample_every=0",
        "cluster=slurm", f"cluster.tasks_per_node={ranks}", "cluster.cpus_per_task=1", *more,
    )  # fmt: skip
    return RunDir(runs / "train" / "smoke" / run_id), out.split()[1]


def wait_training(run: RunDir) -> None:
    """Wait until it has trained past its first checkpoint."""
    wait_until(lambda: any(run.checkpoints.glob("0*")), limit_s=ENDED_S)
    time.sleep(0.7)


def by_signal(run: RunDir, job_id: str) -> None:
    subprocess.run(["scancel", "--signal=USR2", job_id], check=True)


def by_requeue(run: RunDir, job_id: str) -> None:
    subprocess.run(["scontrol", "requeue", job_id], check=True)


def by_kill(run: RunDir, job_id: str) -> None:
    os.kill(ranks_of(run)[-1], signal.SIGKILL)
    wait_until(lambda: not subprocess.run(
        ["squeue", "-h", "-j", job_id, "-t", "R,CG"], capture_output=True, check=False
    ).stdout.strip(), limit_s=60)  # fmt: skip
    job("jobs.resubmit", str(run.path))


def by_preemption(run: RunDir, job_id: str) -> None:
    """A job of higher priority takes the node; Slurm warns with USR2."""
    subprocess.run(
        ["sbatch", "--partition=urgent", "--exclusive", "--output=/dev/null", "--wrap=sleep 2"],
        capture_output=True, check=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    job("jobs.prepare", "+dataset=smoke", f"out={folder / 'data'}", f"runs_dir={folder}")
    return folder


@pytest.fixture(scope="module", params=RANKS)
def straight(request: pytest.FixtureRequest, runs: Path) -> tuple[RunDir, int]:
    run, _ = submit(runs, f"straight-{request.param}", request.param)
    wait_finished(run)
    return run, request.param


@pytest.mark.parametrize("interrupt", [by_signal, by_requeue, by_kill, by_preemption])
def test_interrupted_equals_straight(
    runs: Path, straight: tuple[RunDir, int], interrupt: Callable[[RunDir, str], None]
) -> None:
    run, job_id = submit(runs, f"{interrupt.__name__}-{straight[1]}", straight[1])
    wait_training(run)
    interrupt(run, job_id)
    wait_finished(run)
    assert len(record(run)["attempts"]) == 2
    assert [v for v in compare_runs(straight[0], run) if not v.equal] == []


def test_time_limit_requeues_and_equals_straight(runs: Path, straight: tuple[RunDir, int]) -> None:
    reference, ranks = straight
    # As many images as take twice the time a limit leaves to train, however fast the machine is.
    rate = record(reference)["figures"]["rate_img_per_s"]
    long = f"num_images={max(NUM_IMAGES, 8 * round(rate * TRAINED_S / 8))}"
    # Four ranks on two cores need half a minute to begin.
    delay_s = 45 if ranks < 4 else 25
    undisturbed, _ = submit(runs, f"long-{ranks}", ranks, long)
    wait_finished(undisturbed)
    # One minute is the least Slurm gives; the job leaves by its own deadline before that.
    run, job_id = submit(
        runs, f"time-{ranks}", ranks, long, "cluster.timeout_min=1",
        f"cluster.signal_delay_s={delay_s}",
    )  # fmt: skip
    wait_finished(run)
    attempts = record(run)["attempts"]
    assert len(attempts) >= 2, "it finished within the limit: nothing was tested"
    assert {a["job_id"] for a in attempts} == {job_id}
    assert [v for v in compare_runs(undisturbed, run) if not v.equal] == []


def test_a_sweep_submits_one_job_a_point_and_returns(runs: Path) -> None:
    out = job(
        "jobs.train", "+experiment=smoke", f"data.path={runs / 'data'}", f"runs_dir={runs}",
        "name=sweep", "num_images=16", "sample_every=0", "cluster=slurm",
        "cluster.cpus_per_task=1", "-m", "lora.rank=4,8",
    )  # fmt: skip
    folders = [Path(line.split()[1]) for line in out.splitlines() if line.startswith("run ")]
    assert len(folders) == 2
    for folder in folders:
        wait_finished(RunDir(folder))
    ranks = [yaml.safe_load((f / "config.yaml").read_text())["lora"]["rank"] for f in folders]
    assert ranks == [4, 8]


def test_submitted_options_are_what_was_asked_for(runs: Path) -> None:
    run, job_id = submit(
        runs, "held", 8, "cluster.gpus_per_node=8", "cluster.exclusive=true", "num_images=1",
        "cluster.partition=batch", "cluster.timeout_min=30", "cluster.setup=[sleep 60]",
    )  # fmt: skip
    shown = subprocess.run(
        ["scontrol", "show", "job", job_id], capture_output=True, text=True, check=True
    ).stdout
    subprocess.run(["scancel", job_id], check=True)
    for part in ("Requeue=1", "NumTasks=8", "TimeLimit=00:30:00", "Partition=batch", "gres:gpu:8"):
        assert part in shown, shown
    assert not run.run_json.exists()
