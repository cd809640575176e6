"""Preflight as a command, and before a job under a scheduler that is only an environment."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml

from bench.preflight.check import COMMAND_S, Report
from bench.preflight.finding import Finding, Level, critical
from bench.preflight.report import write_report
from jobs.conf import TrainJob
from jobs.runtime import preflight
from jobs.runtime.conf import ClusterConfig
from jobs.runtime.config import compose_config, freeze, thaw
from jobs.runtime.freeze import freeze_run
from jobs.runtime.preflight import before_job, read_wandb
from pipeline.core.errors import InputError
from pipeline.core.files import read_json
from pipeline.core.rundir import RunDir
from pipeline.core.world import World
from tests.bench.preflight.nodes import programs

ROOT = Path(__file__).parents[2]
KEY = "0123456789abcdef0123456789abcdef01234567"
SLURM = {
    "SUBMITIT_EXECUTOR": "slurm", "SLURM_PROCID": "0", "SLURM_NTASKS": "1", "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0", "SLURM_JOB_NUM_NODES": "1", "SLURM_JOB_ID": "77",
    "SLURMD_NODENAME": "dgx1",
}  # fmt: skip


def run(*arguments: str, path: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    paths = [str(path)] if path else []
    clean = {key: value for key, value in os.environ.items() if not key.startswith("WANDB")}
    return subprocess.run(
        [sys.executable, "-m", "jobs.preflight", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
        env=clean | {"PATH": os.pathsep.join([*paths, os.environ["PATH"]])} | env,
    )  # fmt: skip


def test_a_broken_node_is_told_by_table_json_and_status(tmp_path: Path) -> None:
    shims = programs(tmp_path / "bin", "dgx_b200", "seven_gpus", "capped_power")
    done = run(
        "--runs-dir", str(tmp_path), "--json", str(tmp_path / "x.json"), path=shims,
        WANDB_MODE="online", WANDB_API_KEY=KEY, WANDB_BASE_URL="http://127.0.0.1:9",
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    value = read_json(tmp_path / "x.json")
    levels = {f["name"]: f["level"] for f in value["findings"]}
    assert value["level"] == "CRITICAL"
    assert levels["gpu.count"] == levels["xid"] == "CRITICAL"
    assert levels["power"] == levels["wandb"] == "WARN"
    assert KEY not in done.stdout + done.stderr + (tmp_path / "x.json").read_text()


def test_a_laptop_is_told_sensible_things(tmp_path: Path) -> None:
    done = run("--profile", "cpu", "--runs-dir", str(tmp_path))
    assert done.returncode in (0, 1), done.stdout + done.stderr
    assert "CRITICAL  " not in done.stdout


def test_a_page_is_written_where_no_repository_keeps_it(tmp_path: Path) -> None:
    done = run("--runs-dir", str(tmp_path), "--write-hardware", SLURMD_NODENAME="dgx1",
               path=programs(tmp_path / "bin", "dgx_b200"))  # fmt: skip
    assert done.returncode == 0, done.stderr
    page = tmp_path / "hardware-dgx1.md"
    assert page.read_text().count("NVIDIA B200") == 8
    named = run("--write-hardware", str(tmp_path / "mine.md"))
    assert named.returncode == 0, named.stderr
    assert (tmp_path / "mine.md").is_file()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--num-nodes", "0"], "--num-nodes"),
        (["--profile", "tpu"], "--profile"),
        (["--write-hardware", "/proc/no/page.md"], "--write-hardware"),
    ],
)
def test_a_wrong_argument_is_one_line(arguments: list[str], named: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert named in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_broken_base_url_is_one_line_without_its_password(monkeypatch) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", f"https://me:{KEY}@host:notaport")
    with pytest.raises(InputError, match="WANDB_BASE_URL") as caught:
        read_wandb()
    assert KEY not in str(caught.value)


def slurm(monkeypatch: pytest.MonkeyPatch, path: Path | None = None, **more: str) -> None:
    for key, value in (SLURM | more).items():
        monkeypatch.setenv(key, value)
    if path:
        monkeypatch.setenv("PATH", f"{path}{os.pathsep}{os.environ['PATH']}")


def test_a_healthy_node_lets_the_job_begin_and_is_written_down(tmp_path, monkeypatch) -> None:
    slurm(monkeypatch, programs(tmp_path / "bin", "dgx_b200"))
    before_job(ClusterConfig(gpus_per_node=8), World(device="cuda:0"), RunDir(tmp_path))
    value = read_json(tmp_path / "preflight" / "dgx1.json")
    assert value["profile"] == "dgx_b200"
    assert value["attempt"] == "77.0"
    assert value["level"] != "CRITICAL"


def test_a_warning_goes_to_the_log_and_stops_nothing(tmp_path, monkeypatch, caplog) -> None:
    slurm(monkeypatch, programs(tmp_path / "bin", "dgx_b200", "capped_power"))
    before_job(ClusterConfig(gpus_per_node=8), World(device="cuda:0"), RunDir(tmp_path))
    assert "700 W" in caplog.text


@pytest.mark.parametrize(
    ("fault", "cluster", "said"),
    [
        ("seven_gpus", {"gpus_per_node": 8}, "7 GPUs"),
        ("mig_on", {"gpus_per_node": 8}, "mig"),
        ("wants_reset", {"gpus_per_node": 8}, "GPU Reset Required"),
    ],
)
def test_a_broken_node_ends_the_job_in_one_line(
    tmp_path, monkeypatch, fault, cluster, said
) -> None:
    slurm(monkeypatch, programs(tmp_path / "bin", "dgx_b200", fault))
    with pytest.raises(InputError, match="dgx1") as caught:
        before_job(ClusterConfig(**cluster), World(device="cuda:0"), RunDir(tmp_path))
    assert said in str(caught.value) + (tmp_path / "preflight" / "dgx1.json").read_text()
    assert "\n" not in str(caught.value)
    assert "cluster.preflight" in str(caught.value)


def test_a_job_of_gpus_does_not_start_where_there_is_no_driver(tmp_path, monkeypatch) -> None:
    slurm(monkeypatch, PATH=str(tmp_path))
    with pytest.raises(InputError, match="gpu.count"):
        before_job(ClusterConfig(gpus_per_node=8), World(device="cuda:0"), RunDir(tmp_path))


@pytest.mark.parametrize(
    "gres",
    ["gpu:4", "gpu:b200:4", "gpu:b200:4(S:0-1)", "gpu:4,nvme:1", "nvme:1,gres/gpu:4", "gpu"],
)
def test_a_gres_says_how_many_gpus_there_must_be(tmp_path, monkeypatch, gres) -> None:
    slurm(monkeypatch, programs(tmp_path / "bin", "dgx_b200", "four_gpus"))
    before_job(ClusterConfig(gres=gres), World(device="cuda:0"), RunDir(tmp_path))
    findings = read_json(tmp_path / "preflight" / "dgx1.json")["findings"]
    level = next(f["level"] for f in findings if f["name"] == "gpu.count")
    assert level == ("WARN" if gres == "gpu" else "OK")  # four are more than one
    with pytest.raises(InputError, match="gpu.count"):
        before_job(ClusterConfig(gres="gpu:5"), World(device="cuda:0"), RunDir(tmp_path))


def test_a_process_that_is_bound_to_one_gpu_speaks_for_that_one(tmp_path, monkeypatch) -> None:
    slurm(monkeypatch, programs(tmp_path / "bin", "dgx_b200", "one_gpu"), CUDA_VISIBLE_DEVICES="0")
    bound = ClusterConfig(gpus_per_node=8, tasks_per_node=8)
    before_job(bound, World(device="cuda:0"), RunDir(tmp_path))
    with pytest.raises(InputError, match="gpu.count"):
        before_job(ClusterConfig(gpus_per_node=8), World(device="cuda:0"), RunDir(tmp_path))


def test_a_gpu_of_another_job_stops_nothing_where_slurm_shows_them_all(
    tmp_path, monkeypatch
) -> None:
    shims = programs(tmp_path / "bin", "dgx_b200", "mig_on", "dead_link", "remap_failed")
    slurm(monkeypatch, shims, CUDA_VISIBLE_DEVICES="6, 7")
    before_job(ClusterConfig(gpus_per_node=2), World(device="cuda:0"), RunDir(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,6")
    with pytest.raises(InputError, match="17 links"):
        before_job(ClusterConfig(gpus_per_node=2), World(device="cuda:0"), RunDir(tmp_path))


def test_a_driver_has_more_time_before_a_job_and_other_nodes_wait_longer(
    tmp_path, monkeypatch
) -> None:
    slurm(monkeypatch)
    given = {}

    def look(_, **limits):
        given.update(limits)
        return Report(profile="x", findings=[], elapsed_s=0.1)

    monkeypatch.setattr(preflight, "check_node", look)
    before_job(ClusterConfig(gpus_per_node=8), World(device="cuda:0"), RunDir(tmp_path))
    assert 2 * COMMAND_S < given["command_s"] < given["all_s"] < preflight.WAIT_S


def test_slices_are_what_a_job_of_slices_wants(tmp_path, monkeypatch) -> None:
    slurm(monkeypatch, programs(tmp_path / "bin", "dgx_b200", "mig_on"))
    before_job(ClusterConfig(gres="gpu:1g.23gb:1"), World(device="cuda:0"), RunDir(tmp_path))


@pytest.mark.parametrize(
    ("cluster", "world", "executor"),
    [
        (ClusterConfig(gpus_per_node=8, preflight=False), World(), "slurm"),
        (ClusterConfig(gpus_per_node=8), World(), "local"),
        (ClusterConfig(gpus_per_node=8), World(rank=1, world_size=2, local_rank=1,
                                               local_world_size=2), "slurm"),
    ],
)  # fmt: skip
def test_no_look_where_none_is_wanted(tmp_path, monkeypatch, cluster, world, executor) -> None:
    broken = programs(tmp_path / "bin", "dgx_b200", "seven_gpus")
    slurm(monkeypatch, broken, SUBMITIT_EXECUTOR=executor)
    before_job(cluster, world, RunDir(tmp_path))
    assert not (tmp_path / "preflight").exists()


def test_a_job_without_gpus_asks_no_driver(tmp_path, monkeypatch) -> None:
    slurm(monkeypatch, programs(tmp_path / "bin", "dgx_b200", "seven_gpus"))
    before_job(ClusterConfig(), World(), RunDir(tmp_path))
    value = read_json(tmp_path / "preflight" / "dgx1.json")
    assert value["profile"] == "cpu"
    assert value["level"] != "CRITICAL"
    assert not any(f["name"].startswith(("gpu.model", "xid")) for f in value["findings"])


def other(run_dir: RunDir, *findings: Finding, attempt: str = "77.0") -> None:
    report = Report(profile="dgx_b200", findings=list(findings), elapsed_s=0.1)
    write_report(run_dir.preflight("dgx2"), report, host="dgx2", attempt=attempt)


def test_the_main_rank_names_the_other_node_that_is_broken(tmp_path, monkeypatch) -> None:
    slurm(monkeypatch)
    world = World(rank=0, world_size=2, num_nodes=2)
    fault = critical("nvlink", "GPU 5: 17 links up", todo="drain it")
    later = threading.Timer(0.3, other, args=(RunDir(tmp_path), fault))
    later.start()
    with pytest.raises(InputError, match="dgx2") as caught:
        before_job(ClusterConfig(num_nodes=2), world, RunDir(tmp_path))
    later.join()
    assert "17 links" in str(caught.value)


def test_what_a_node_said_of_an_earlier_attempt_is_not_its_word_now(
    tmp_path, monkeypatch, caplog
) -> None:
    slurm(monkeypatch)
    monkeypatch.setattr(preflight, "WAIT_S", 0.2)
    other(RunDir(tmp_path), critical("nvlink", "dead", todo="drain"), attempt="76.0")
    before_job(ClusterConfig(num_nodes=2), World(world_size=2, num_nodes=2), RunDir(tmp_path))
    assert "1 of 2 nodes" in caplog.text


def test_a_broken_node_that_is_not_the_main_one_ends_by_itself_at_last(
    tmp_path, monkeypatch
) -> None:
    slurm(monkeypatch, SLURMD_NODENAME="dgx2")
    monkeypatch.setattr(preflight, "WAIT_S", 0.1)
    bad = Report(profile="x", findings=[critical("a", "b", todo="c")], elapsed_s=0.1)
    monkeypatch.setattr(preflight, "check_node", lambda _, **__: bad)
    world = World(rank=1, world_size=2, node=1, num_nodes=2)
    with pytest.raises(InputError, match="dgx2"):
        before_job(ClusterConfig(num_nodes=2), world, RunDir(tmp_path))


def test_a_broken_node_fails_the_run_and_its_record_says_why(smoke_data, tmp_path) -> None:
    config = compose_config("train", TrainJob, [
        "+experiment=smoke", f"data.path={smoke_data}", f"runs_dir={tmp_path / 'runs'}",
        "run_id=it", "num_images=16", "cluster=slurm", "cluster.gpus_per_node=8",
    ])  # fmt: skip
    run_dir = freeze_run("train", config, command="test")
    shims = programs(tmp_path / "bin", "dgx_b200", "seven_gpus")
    code = f"from jobs.runtime.worker import Worker; Worker()({str(run_dir.path)!r})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60,
        check=False,
        env={**os.environ, **SLURM, "PATH": f"{shims}{os.pathsep}{os.environ['PATH']}"},
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert [line for line in done.stderr.splitlines() if "dgx1" in line]
    assert "Traceback" not in done.stderr
    record = read_json(run_dir.run_json)
    assert record["status"] == "failed"
    assert "dgx1" in record["attempts"][-1]["reason"]
    levels = {f["level"] for f in read_json(run_dir.preflight("dgx1"))["findings"]}
    assert Level.CRITICAL.name in levels


def test_a_config_frozen_before_there_was_a_preflight_still_thaws(smoke_data) -> None:
    config = compose_config("train", TrainJob, ["+experiment=smoke", f"data.path={smoke_data}"])
    frozen = yaml.safe_load(freeze(config, base=ROOT))
    del frozen["cluster"]["preflight"]
    assert thaw(TrainJob, json.dumps(frozen)).cluster.preflight is True
