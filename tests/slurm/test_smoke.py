"""On a real Slurm: the batch script and the launched job give one answer, without a GPU."""

import subprocess
from pathlib import Path

import pytest

from repro.record import read_smoke
from tests.slurm.cluster import ROOT, job

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]


def hashes(folder: Path) -> list[str]:
    (record,) = folder.glob("smoke/smoke/*/smoke.json")
    told = read_smoke(record)
    assert told["checked"]["passed"]
    return [picture["pixels_sha256"] for picture in told["pictures"]]


def test_sbatch_and_the_job_agree(tmp_path: Path) -> None:
    baselines = f"baselines_dir={tmp_path / 'baselines'}"
    log = tmp_path / "smoke.log"
    done = subprocess.run(
        ["sbatch", "--wait", f"--output={log}", "sbatch/smoke.sh", baselines,
         f"runs_dir={tmp_path / 'batch'}"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, log.read_text() if log.exists() else done.stderr
    job(
        "jobs.smoke", "cluster=slurm", "cluster.cpus_per_task=1", "wait=true", baselines,
        f"runs_dir={tmp_path / 'job'}",
    )  # fmt: skip
    assert hashes(tmp_path / "batch") == hashes(tmp_path / "job")


def test_a_check_that_fails_fails_the_batch_job(tmp_path: Path) -> None:
    done = subprocess.run(
        ["sbatch", "--wait", f"--output={tmp_path / 'smoke.log'}", "sbatch/smoke.sh",
         f"reference={tmp_path / 'absent'}", f"runs_dir={tmp_path}"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "record=true" in (tmp_path / "smoke.log").read_text()
