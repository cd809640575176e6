"""Twenty things that go wrong, each through the command a user types: one line says what and where.

``pytest tests/jobs/test_broken_inputs.py -rP`` shows the lines.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from pipeline.core.files import read_json

ROOT = Path(__file__).parents[2]
NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]


def fails(*command: str, env: dict[str, str] | None = None) -> str:
    """Run a command that must fail; return its one line."""
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, **(env or {})},
    )  # fmt: skip
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, done.stderr
    sys.stdout.write(lines[0] + "\n")
    return lines[0]


def job(name: str, *arguments: str, env: dict[str, str] | None = None) -> str:
    return fails(sys.executable, "-m", f"jobs.{name}", *arguments, env=env)


def train_arguments(data: Path, runs: Path, *more: str) -> list[str]:
    return [
        "+experiment=smoke", f"data.path={data}", f"runs_dir={runs}", "run_id=it", "num_images=48",
        "validate_every=0", "sample_every=0", "save_every=16", "cluster=inline", *more,
    ]  # fmt: skip


def train(data: Path, tmp: Path, *more: str, env: dict[str, str] | None = None) -> str:
    return job("train", *train_arguments(data, tmp / "runs", *more), env=env)


def whole(path: Path) -> None:
    Image.effect_noise((32, 32), 90).convert("RGBA").save(path)


def truncated(art: Path) -> None:
    whole(art / "x.png")
    data = (art / "x.png").read_bytes()
    (art / "x.png").write_bytes(data[: len(data) // 2])


def duplicate(art: Path) -> None:
    whole(art / "x.png")
    whole(art / "x.PNG")
    (art / "x.txt").write_text("a red potion")


BROKEN_ART: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "truncated PNG": (truncated, ["x.png", "cannot be decoded"]),
    "wrong mode": (lambda art: Image.new("I;16", (32, 32)).save(art / "x.png"), ["x.png", "I;16"]),
    "zero size": (lambda art: (art / "x.png").write_bytes(b""), ["x.png", "not an image"]),
    "huge": (
        lambda art: Image.new("1", (9000, 9000)).save(art / "x.png"),
        ["x.png", "9000x9000", "max_input_px=8192"],
    ),
    "symlink loop": (lambda art: (art / "x.png").symlink_to(art / "x.png"), ["x.png"]),
    "duplicate names": (duplicate, ["x.png", "x.PNG", "same name"]),
    "missing caption": (lambda art: whole(art / "01.png"), ["01.png", "no caption", "01.txt"]),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN_ART)
def test_broken_art(tmp_path: Path, what: str) -> None:
    art = tmp_path / "art"
    art.mkdir()
    whole(art / "good.png")
    break_it, words = BROKEN_ART[what]
    break_it(art)
    line = job(
        "prepare", "source.kind=folder", f"source.path={art}", f"out={tmp_path / 'out'}",
        f"runs_dir={tmp_path / 'runs'}", "strict=true", "cluster=inline",
    )  # fmt: skip
    assert all(word in line for word in words), line
    assert not (tmp_path / "out").exists()


def test_an_unreadable_archive(tmp_path: Path) -> None:
    (tmp_path / "crawl.tar.xz").write_bytes(os.urandom(4096))
    line = job(
        "prepare", "+dataset=tiles32", f"source.path={tmp_path / 'crawl.tar.xz'}",
        f"out={tmp_path / 'out'}", f"runs_dir={tmp_path / 'runs'}",
    )  # fmt: skip
    assert "crawl.tar.xz" in line
    assert "tar archive" in line


def test_an_index_that_does_not_match(smoke_data: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(smoke_data, data)
    index = data / "train-000000.idx"
    index.write_text("\n".join(index.read_text().splitlines()[:-1]) + "\n")
    assert str(index) in train(data, tmp_path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["lora.rnk=3"], ["lora.rnk", "lora.rank"]),
        (["lora.rank=many"], ["lora.rank", "many"]),
        (["model=sd15"], ["model.path", "local folder"]),
    ],
    ids=["unknown key", "wrong type", "missing weights"],
)
def test_a_setting(
    smoke_data: Path, tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    line = train(smoke_data, tmp_path, *arguments)
    assert all(word in line for word in words), line


def test_bad_yaml(smoke_data: Path, tmp_path: Path) -> None:
    root = tmp_path / "clone"
    for room in ("jobs", "bench", "repro", "pipeline", "train", "eval", "configs"):
        shutil.copytree(ROOT / room, root / room)
    (root / "configs" / "experiment" / "smoke.yaml").write_text("lora: {rank: 4\n")
    line = fails(
        "env", "-C", str(root), sys.executable, "-m", "jobs.train",
        *train_arguments(smoke_data, tmp_path / "runs"),
    )  # fmt: skip
    assert "bad YAML" in line
    assert "smoke.yaml" in line


def test_a_hash_mismatch(smoke_data: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    for name in ("model_index.json", "weights.safetensors"):
        (model / name).write_text("{}")
    line = train(
        smoke_data,
        tmp_path,
        "model=pixelnano_blank",
        f"model.path={model}",
        "model.sha256={weights.safetensors: '0123'}",
    )
    assert "weights.safetensors" in line
    assert "expected 0123" in line


def test_no_dali(smoke_data: Path, tmp_path: Path) -> None:
    shadow = tmp_path / "shadow" / "nvidia" / "dali"
    shadow.mkdir(parents=True)
    (shadow.parent / "__init__.py").touch()
    (shadow / "__init__.py").write_text("raise ImportError('libcuda.so.1: cannot open')")
    line = train(smoke_data, tmp_path, env={"PYTHONPATH": str(tmp_path / "shadow")})
    assert "DALI cannot be imported" in line
    assert "pip install" in line


def test_no_slurm_answers(smoke_data: Path, tmp_path: Path) -> None:
    line = train(
        smoke_data, tmp_path, "cluster=slurm", env={"SLURM_CONF": str(tmp_path / "absent.conf")}
    )
    assert "cluster.where" in line


def test_two_jobs_in_one_run_folder(smoke_data: Path, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "train" / "smoke" / "it"
    run.mkdir(parents=True)
    with (run / "lock").open("w") as held:
        held.write("17 on node3\n")
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)
        line = train(smoke_data, tmp_path)
    assert "in use by job 17 on node3" in line
    assert not (run / "run.json").exists()


def namespace(script: str, *command: str) -> list[str]:
    """Return a command that runs in mounts of its own, or skip where the machine allows none."""
    allowed = subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False)
    if allowed.returncode:
        pytest.skip("user namespaces with mounts are not allowed here")
    return [*NAMESPACE, "sh", "-ec", f'{script}; exec "$@"', "sh", *command]


def test_a_full_disk_keeps_the_last_checkpoint(smoke_data: Path, tmp_path: Path) -> None:
    disk, kept = tmp_path / "disk", tmp_path / "kept"
    disk.mkdir()
    # Room for the code and one checkpoint and a half; what is on it is copied out at the end.
    script = f"mount -t tmpfs -o size=4608k none {disk}; trap 'cp -r {disk} {kept}' EXIT"
    command = namespace(
        script, sys.executable, "-m", "jobs.train", *train_arguments(smoke_data, disk)
    )
    command[command.index("-ec") + 1] = f'{script}; "$@"'
    line = fails(*command)
    assert "No space left" in line
    run = kept / "train" / "smoke" / "it"
    assert [p.name for p in (run / "checkpoints").iterdir()] == ["000000000016"]
    assert read_json(run / "run.json")["status"] == "failed"


def test_a_read_only_run_folder(smoke_data: Path, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "train" / "smoke" / "it"
    first = [sys.executable, "-m", "jobs.train"]
    stopped = train_arguments(smoke_data, tmp_path / "runs", "num_images=16")
    subprocess.run([*first, *stopped], cwd=ROOT, capture_output=True, check=True)
    script = f"mount --bind {run} {run}; mount -o remount,bind,ro {run}"
    line = fails(*namespace(script, sys.executable, "-m", "jobs.resubmit", str(run)))
    assert str(run) in line
    assert "Read-only" in line


def test_a_time_limit_too_short_for_one_step(smoke_data: Path, tmp_path: Path) -> None:
    """The scheduler warns, then ends the job in the middle of its first step."""
    code = (
        "import os, signal, sys, time, jobs.train; from train.step import Trainer\n"
        "def long_step(self, batches):\n"
        "    os.kill(os.getpid(), signal.SIGUSR2); os.kill(os.getpid(), signal.SIGTERM)\n"
        "    time.sleep(0.2); os._exit(2)\n"
        "Trainer.step = long_step\n"
        "from jobs.runtime.cli import main; sys.exit(main('train', jobs.train.SCHEMA))"
    )
    arguments = train_arguments(smoke_data, tmp_path / "runs", "cluster.timeout_min=5")
    line = fails(sys.executable, "-c", code, *arguments)
    assert "cluster.timeout_min: 5 min" in line
    assert "signal_delay_s" in line
    record = read_json(tmp_path / "runs" / "train" / "smoke" / "it" / "run.json")
    assert record["status"] == "failed"
