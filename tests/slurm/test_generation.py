"""On a real Slurm: generation that is killed and requeued makes each image once, the same bytes.

``SCALE=2000,8,10 pytest -m slurm tests/slurm/test_generation.py``: images, tasks, interruptions.
"""

import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from pipeline.core.rundir import RunDir
from pipeline.generate.reproduce import Reproducer
from pipeline.generate.summary import read_records
from pipeline.generate.verify import check_run, images_of
from pipeline.models.conf import FamilyName, ModelConfig
from repro.compare import compare_runs
from tests.slurm.cluster import job, ranks_of, record, wait_finished, wait_until

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(3000)]

NUM_IMAGES, TASKS, INTERRUPTIONS = (int(n) for n in os.environ.get("SCALE", "96,4,2").split(","))
SHIPPED = Path("pipeline/models/assets/pixelnano")


def submit(runs: Path, run_id: str, tasks: int, *more: str) -> tuple[RunDir, str]:
    out = job(
        "jobs.generate", "name=g", "prompts=[red gem, blue potion, green slime, orc]",
        f"num_seeds={NUM_IMAGES // 4}", "batch_size=8", "sampler.num_steps=4", f"runs_dir={runs}",
        f"run_id={run_id}", "cluster=slurm", f"cluster.tasks_per_node={tasks}",
        "cluster.cpus_per_task=1", *more,
    )  # fmt: skip
    return RunDir(runs / "generate" / "g" / run_id), out.split()[1]


def count(run: RunDir) -> int:
    return len(list(run.images.glob("0*.png"))) if run.images.exists() else 0


def in_queue(job_id: str) -> str:
    told = subprocess.run(
        ["squeue", "--noheader", "--format=%T", f"--jobs={job_id}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return told.stdout.strip()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    run, _ = submit(tmp_path_factory.mktemp("undisturbed"), "run", 1)
    wait_finished(run, limit_s=1500)
    return run


def test_kills_and_requeues_lose_double_and_change_nothing(
    tmp_path: Path, undisturbed: RunDir
) -> None:
    choose = random.Random(0)
    run, job_id = submit(tmp_path, "run", TASKS, "cluster.max_requeues=99")
    share = NUM_IMAGES // (INTERRUPTIONS + 1)
    for done in range(INTERRUPTIONS):
        wait_until(lambda goal=(done + 1) * share: count(run) >= goal - 8, limit_s=1500)  # type: ignore[misc]
        ranks = ranks_of(run)
        if choose.random() < 0.5 and ranks:
            os.kill(choose.choice(ranks), signal.SIGKILL)
            wait_until(lambda job_id=job_id: in_queue(job_id) in ("", "FAILED"), limit_s=60)  # type: ignore[misc]
            job_id = job("jobs.resubmit", str(run.path)).split()[1]
        elif in_queue(job_id) == "RUNNING":
            subprocess.run(["scontrol", "requeue", job_id], check=True)
    wait_finished(run, limit_s=1500)
    assert list(check_run(run)) == []
    assert [r["index"] for r in read_records(run)] == list(range(NUM_IMAGES))
    assert [v for v in compare_runs(undisturbed, run) if not v.equal] == []
    assert len(record(run)["attempts"]) > INTERRUPTIONS // 2
    # Any of them can be made again, in this one process, from what it says of itself.
    models = [ModelConfig(family=FamilyName.pixelnano, path=SHIPPED)]
    reproducer = Reproducer(models=models, loras=[], device="cpu")
    for path in choose.sample(images_of(run.path), min(50, NUM_IMAGES)):
        assert reproducer.again(path.read_bytes(), path=path) == path.read_bytes()


def test_an_array_finishes_what_a_cancelled_job_left(tmp_path: Path, undisturbed: RunDir) -> None:
    run, job_id = submit(tmp_path, "run", 1, "array=3")
    wait_until(lambda: count(run) > 8, limit_s=240)
    subprocess.run(["scancel", "--signal=KILL", f"{job_id}_1"], check=True)
    # Its claims are fresh: grown old at once here, instead of minutes later.
    time.sleep(2)
    for claim in (run.path / "claims").glob("0-*"):
        if claim.read_text() == "00001":
            os.utime(claim, (0, 0))
    wait_finished(run, limit_s=240)
    assert list(check_run(run)) == []
    assert [v for v in compare_runs(undisturbed, run) if not v.equal] == []
    assert len(list(run.path.glob("array/*/run.json"))) == 3


@pytest.mark.parametrize("ranks", [2, 3])
def test_any_number_of_ranks_writes_the_same_bytes(
    tmp_path: Path, undisturbed: RunDir, ranks: int
) -> None:
    run, _ = submit(tmp_path, "run", ranks)
    wait_finished(run)
    assert len(list(run.path.glob("manifest-*.jsonl"))) == ranks
    assert [v for v in compare_runs(undisturbed, run) if not v.equal] == []
    shutil.rmtree(run.path)
