"""Jobs run as a user runs them: commands, exit status, what stands on disk afterwards."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TRAIN = [sys.executable, "-m", "jobs.train"]
QUIET = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "WANDB_MODE": "offline"}


def job(*arguments: str, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, env=QUIET, capture_output=True, text=True,
        timeout=timeout_s, check=False,
    )  # fmt: skip


def train(data: Path, runs: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return job("jobs.train", *arguments(data, runs, *more))


def arguments(data: Path, runs: Path, *more: str) -> list[str]:
    return [
        "+experiment=smoke", f"data.path={data}", f"runs_dir={runs}", "run_id=it", "num_images=32",
        "validate_every=0", "sample_every=0", "save_every=16", "validation_images=4", *more,
    ]  # fmt: skip


def record(runs: Path) -> dict[str, object]:
    return json.loads((runs / "train" / "smoke" / "it" / "run.json").read_text())


def inspected(file: Path) -> list[dict[str, object]]:
    """Return the records of a run that W&B wrote offline, as its own reader has them."""
    done = subprocess.run(
        [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(file)],
        cwd=file.parent, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [json.loads(line) for line in done.stdout.splitlines()]


def assert_mirrored(records: list[dict[str, object]], run: Path) -> None:
    """Named by the scheme of docs/wandb.md, with the rows of ``metrics.jsonl``."""
    (told,) = [each["run"] for each in records if each["type"] == "run"]
    names = [told[key] for key in ("run_id", "display_name", "run_group", "job_type")]
    assert names == ["train-smoke-it", "it", "smoke", "train"]
    assert told["tags"] == ["pixelnano", "32px"]
    rows = [each["history"]["item"] for each in records if each["type"] == "history"]
    kept = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [{key: row.get(key) for key in kept[0]} for row in rows] == kept


def test_the_login_side_never_imports_torch() -> None:
    code = (
        "import sys, jobs.train, jobs.prepare, jobs.generate; from jobs.runtime.cli import main;"
        "main('train', jobs.train.SCHEMA, ['+experiment=tiles32', '--cfg', 'job']);"
        "main('train', jobs.train.SCHEMA, ['--help']);"
        "sys.exit('torch' in sys.modules or 'wandb' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_two_local_ranks_train_and_leave_a_whole_run(smoke_data: Path, tmp_path: Path) -> None:
    done = train(smoke_data, tmp_path, "cluster=local", "cluster.tasks_per_node=2", "tracker=wandb")
    assert done.returncode == 0, done.stdout + done.stderr
    run = tmp_path / "train" / "smoke" / "it"
    assert record(tmp_path)["status"] == "finished"
    assert (run / "lora" / "pytorch_lora_weights.safetensors").is_file()
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 2
    (file,) = run.glob("wandb/offline-run-*/run-train-smoke-it.wandb")
    assert_mirrored(inspected(file), run)
    assert (run / "code" / "jobs" / "train.py").is_file()
    assert (run / "code" / "eval" / "assets" / "tile_text.safetensors").is_file()
    assert not list((run / "code").rglob("*model.safetensors")), "models are not copied"
    assert list(run.glob("logs/*/1.log"))
    # Once more with the same run: it is finished, and says so without training.
    again = train(smoke_data, tmp_path, "cluster=inline")
    assert again.returncode == 0
    assert record(tmp_path)["figures"]["images_this_attempt"] == 0  # type: ignore[index]
    # A finished run cannot be turned into another one.
    changed = train(smoke_data, tmp_path, "cluster=inline", "seed=5")
    assert changed.returncode == 2
    assert "seed" in changed.stderr
    # What a run was asked for and what it runs from stay as they were frozen.
    assert json.loads((run / "code.json").read_text())["command"].startswith("python -m jobs.train")
    for frozen in (run / "code" / "jobs" / "train.py", run / "config.yaml"):
        with frozen.open("a") as file:
            file.write("\n")
        edited = job("jobs.resubmit", str(run))
        assert edited.returncode == 2
        assert "edited" in edited.stderr


def test_ctrl_c_saves_and_resubmit_goes_on(smoke_data: Path, tmp_path: Path) -> None:
    run = tmp_path / "train" / "smoke" / "it"
    started = subprocess.Popen(
        [*TRAIN, *arguments(smoke_data, tmp_path, "cluster=local", "num_images=640")],
        cwd=ROOT, env=QUIET, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    end = time.monotonic() + 60
    while not list(run.glob("checkpoints/0*")):
        assert time.monotonic() < end
        time.sleep(0.1)
    started.send_signal(signal.SIGINT)
    out, err = started.communicate(timeout=60)
    assert started.returncode == 3, out + err
    assert "jobs.resubmit" in out
    stopped = record(tmp_path)
    assert stopped["status"] == "stopped"
    assert not list(run.glob("checkpoints/.*"))
    position = stopped["figures"]["num_images"]  # type: ignore[index]
    assert (run / "checkpoints" / f"{position:012d}").is_dir()
    again = job("jobs.resubmit", str(run))
    assert again.returncode == 0, again.stderr
    assert record(tmp_path)["figures"]["num_images"] == 640  # type: ignore[index]


def test_a_deadline_stops_a_run_that_no_scheduler_takes_up_again(
    smoke_data: Path, tmp_path: Path
) -> None:
    done = train(
        smoke_data, tmp_path, "cluster=inline", "cluster.timeout_min=1",
        "cluster.signal_delay_s=59", "num_images=4000",
    )  # fmt: skip
    assert done.returncode == 3, done.stdout + done.stderr
    assert "jobs.resubmit" in done.stdout
    assert record(tmp_path)["status"] == "stopped"
    assert list((tmp_path / "train" / "smoke" / "it").glob("checkpoints/0*"))
    elsewhere = job("jobs.resubmit", str(tmp_path))
    assert elsewhere.returncode == 2
    assert "not a run folder" in elsewhere.stderr


def test_a_rank_that_fails_takes_the_others_with_it(smoke_data: Path, tmp_path: Path) -> None:
    """A second job in the folder leaves at once, all its ranks, and touches nothing."""
    run = tmp_path / "train" / "smoke" / "it"
    run.mkdir(parents=True)
    with (run / "lock").open("w") as held:
        held.write("17 on node3\n")
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)
        start = time.monotonic()
        done = train(smoke_data, tmp_path, "cluster=local", "cluster.tasks_per_node=2")
    assert done.returncode == 1
    assert "in use by job 17" in done.stderr
    assert time.monotonic() - start < 40
    assert not (run / "run.json").exists()


def test_a_run_folder_takes_one_job_at_a_time(smoke_data: Path, tmp_path: Path) -> None:
    first = subprocess.Popen(
        [*TRAIN, *arguments(smoke_data, tmp_path, "cluster=inline", "num_images=4000")],
        cwd=ROOT, env=QUIET, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    run = tmp_path / "train" / "smoke" / "it"
    end = time.monotonic() + 60
    while not (run / "run.json").exists():
        assert time.monotonic() < end
        time.sleep(0.1)
    second = train(smoke_data, tmp_path, "cluster=inline", "num_images=4000")
    first.terminate()
    first.wait(60)
    assert second.returncode == 2
    assert "in use by job inline" in second.stderr


@pytest.mark.parametrize(
    ("more", "word"),
    [
        (["data.path=/absent"], "data.path"),
        (["model.path=/absent"], "model.path"),
        (["model=sd15"], "model.path"),
        (["batch_size=7", "num_accumulation_steps=2"], "batch_size"),
        (["cluster.num_nodes=2", "cluster=local"], "cluster.num_nodes"),
    ],
)
def test_a_mistake_found_late_is_still_one_line(
    smoke_data: Path, tmp_path: Path, more: list[str], word: str
) -> None:
    done = train(smoke_data, tmp_path, "cluster=inline", *more)
    assert done.returncode == 2, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert word in last
    assert "Traceback" not in done.stderr


def test_no_slurm_is_said_in_one_line(smoke_data: Path, tmp_path: Path) -> None:
    env = {**QUIET, "SLURM_CONF": str(tmp_path / "absent.conf")}
    done = subprocess.run(
        [sys.executable, "-m", "jobs.train", *arguments(smoke_data, tmp_path, "cluster=slurm")],
        cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "no Slurm answers" in done.stderr


def test_prepare_train_generate_and_sheet_hang_together(tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert (
        job("jobs.prepare", "+dataset=smoke", f"out={data}", f"runs_dir={tmp_path}").returncode == 0
    )
    assert train(data, tmp_path, "cluster=inline").returncode == 0
    for name, lora in (
        ("base", "loras=[]"),
        ("lora", f"loras=[{{path: {tmp_path / 'train/smoke/it'}}}]"),
    ):
        done = job(
            "jobs.generate", "prompts=[red gem, blue potion]", "sampler.num_steps=2", lora,
            "name=g",            f"runs_dir={tmp_path}", f"run_id={name}", "cluster=inline",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    runs = [str(tmp_path / "generate" / "g" / name) for name in ("base", "lora")]
    assert job("jobs.sheet", *runs, "--out", str(tmp_path / "sheet.png")).returncode == 0
    assert (tmp_path / "sheet.png").read_bytes()[:4] == b"\x89PNG"
