"""A job in an image: which interpreter runs it, and what it says where Slurm's client is not."""

import sys
from pathlib import Path
from typing import Any

import pytest
import submitit

from jobs.runtime import launch
from jobs.runtime.conf import ClusterConfig, Where
from jobs.runtime.requeue import requeue
from pipeline.core.errors import InputError
from pipeline.core.rundir import RunDir


@pytest.mark.parametrize(
    ("given", "runs"),
    [
        ("/opt/venv/bin/python", "/opt/venv/bin/python"),
        ("/opt/my venv/bin/python", "'/opt/my venv/bin/python'"),
        (None, sys.executable),
    ],
)
def test_the_images_interpreter_runs_the_job(
    given: str | None, runs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submitit.SlurmExecutor, "affinity", lambda *_: 1)
    commands: list[str] = []

    def note(executor: Any, *_: Any, **__: Any) -> list[Any]:
        commands.append(executor._submitit_command_str)
        return []

    monkeypatch.setattr(launch, "_submit", note)
    cluster = ClusterConfig(where=Where.slurm, container_image="i", container_python=given)
    launch._submit_slurm(RunDir(tmp_path), cluster, name="x", array=1)
    assert commands[0].startswith(f"{runs} -u -m submitit")


def test_the_frozen_code_is_where_an_image_starts(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path)
    told = launch.slurm_parameters(run_dir, ClusterConfig(container_image="i"), name="x")
    assert f"--container-workdir={run_dir.code}" in told["srun_args"]
    told = launch.slurm_parameters(run_dir, ClusterConfig(), name="x")
    assert not [a for a in told["srun_args"] if "container" in a]


def test_a_stop_without_slurms_client_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "slurm")
    monkeypatch.setenv("SLURM_PROCID", "0")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="scontrol") as error:
        requeue("7", RunDir(tmp_path))
    assert str(tmp_path) in str(error.value)
