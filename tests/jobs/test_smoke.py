"""The smoke test as a user runs it, in full: shell scripts, exit status, what it leaves."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.record import read_result
from pipeline.generate.png import pixels_digest
from repro.record import read_smoke
from repro.reference import kind_of, record
from repro.smoke import read_pixels
from tests.repro.made import environment, smoke

ROOT = Path(__file__).parents[2]
JOB = [sys.executable, "-m", "jobs.smoke", "cluster=inline"]
SLURM = {"SLURM_SUBMIT_DIR": str(ROOT), "SLURM_JOB_ID": "77", "SLURM_NTASKS": "1"}
SLURM |= {"SLURM_PROCID": "0", "SLURM_CPUS_PER_TASK": "1"}


def start(
    command: list[str], folder: Path, *more: str, cwd: Path = ROOT, **env: str
) -> subprocess.CompletedProcess[str]:
    into = [f"runs_dir={folder / 'runs'}", f"baselines_dir={folder / 'baselines'}"]
    return subprocess.run(
        [*command, *into, *more], cwd=cwd, env={**os.environ, **env}, capture_output=True,
        text=True, timeout=200, check=False,
    )  # fmt: skip


def hashes(folder: Path) -> list[str]:
    (record,) = folder.glob("runs/smoke/smoke/*/smoke.json")
    return [picture["pixels_sha256"] for picture in read_smoke(record)["pictures"]]


def shimmed(folder: Path) -> str:
    """Return a folder that, first on the path, makes one package say another version."""
    shim = folder / "shim" / "pillow-12.0.0.dist-info"
    shim.mkdir(parents=True)
    (shim / "METADATA").write_text("Metadata-Version: 2.1\nName: pillow\nVersion: 12.0.0\n")
    return str(shim.parent)


def decisive(said: str) -> list[str]:
    """Return what the job named as changed and counts."""
    found = re.findall(r"changed +(\w+) +(.*)", said)
    return [what for kind, what in found if kind not in ("speed", "memory", "code")]


def by_batch_script(folder: Path, earlier: Path) -> subprocess.CompletedProcess[str]:
    """Run sbatch/smoke.sh as Slurm does: a copy of it, from elsewhere, in the job's environment."""
    copy, record = folder / "slurm_script", folder / "it's an earlier record.json"
    shutil.copy(ROOT / "sbatch" / "smoke.sh", copy)
    shutil.copy(earlier, record)
    return start(
        ["bash", str(copy), "--compare", str(record)], folder, cwd=folder, **SLURM,
        PYTHONPATH=shimmed(folder),
    )  # fmt: skip


def test_batch_script_to_run_sh_to_job_passes_and_leaves_a_whole_record(tmp_path: Path) -> None:
    done = by_batch_script(tmp_path, sorted((ROOT / "bench/baselines").glob("smoke.*.json"))[0])
    assert done.returncode == 0, done.stderr
    for name in ("cuda", "cudnn", "nccl", "driver", "gpus", "dcgm", "commit", "seeds"):
        assert re.search(rf"^{name} ", done.stderr, re.MULTILINE), name
    assert any(re.fullmatch(r"pillow: \S+ -> 12\.0\.0", what) for what in decisive(done.stderr))
    (baseline,) = tmp_path.glob("baselines/smoke.*.cpu.json")
    told = read_result(baseline)
    units = {row.name: row.unit for row in told.rows}
    assert units == {"rate": "img/s", "latency": "s", "peak_memory": "MiB"}
    assert all(row.median and row.median > 0 for row in told.rows)
    assert told.measured is not None
    assert str(ROOT) not in baseline.read_text(), "a baseline may be published"
    assert baseline.with_suffix(".png").read_bytes()[:4] == b"\x89PNG"
    assert baseline.stat().st_size < 20_000
    (run,) = tmp_path.glob("runs/smoke/smoke/*")
    files = sorted((run / "images").glob("*.png"))
    assert [pixels_digest(read_pixels(file)) for file in files] == hashes(tmp_path)
    assert json.loads((run / "run.json").read_text())["status"] == "finished"


@pytest.mark.slow
def test_three_ways_give_one_answer_and_one_changed_version_is_named_alone(tmp_path: Path) -> None:
    first = start(JOB, tmp_path / "job")
    assert first.returncode == 0, first.stderr
    (earlier,) = tmp_path.glob("job/baselines/smoke.*.cpu.json")
    second = start(["bash", "repro/run.sh", "--compare", str(earlier)], tmp_path / "run")
    assert second.returncode == 0, second.stderr
    assert decisive(second.stderr) == []
    (tmp_path / "batch").mkdir()
    third = by_batch_script(tmp_path / "batch", earlier)
    assert third.returncode == 0, third.stderr
    (named,) = decisive(third.stderr)
    assert named.endswith("-> 12.0.0")
    assert hashes(tmp_path / "job") == hashes(tmp_path / "run") == hashes(tmp_path / "batch")


def test_a_picture_that_is_not_the_recorded_one_fails_and_is_no_baseline(tmp_path: Path) -> None:
    """Drawn by nobody: what the job makes of pictures is what is tried here."""
    record(tmp_path / "reference", smoke(), kind=kind_of(environment(), smoke()))
    code = (
        "import sys, repro.smoke; from jobs.smoke import SCHEMA, main; from tests.repro.made "
        "import smoke; repro.smoke.run_smoke = lambda *_, **__: smoke(1);"
        "sys.exit(main('smoke', SCHEMA))"
    )
    reference = f"reference={tmp_path / 'reference'}"
    done = start([sys.executable, "-c", code], tmp_path, "cluster=inline", reference)
    assert done.returncode == 1, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: smoke: 3 of 3")
    assert "000000000.png" in last
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "baselines").exists()
    (run,) = tmp_path.glob("runs/smoke/smoke/*")
    assert json.loads((run / "run.json").read_text())["status"] == "failed"
    assert json.loads((run / "smoke.json").read_text())["checked"]["passed"] is False


@pytest.mark.parametrize(
    ("more", "word"),
    [
        (["reference=/absent"], "reference"),
        (["compare=/absent.json"], "compare"),
        (["cluster.tasks_per_node=2"], "cluster.tasks_per_node"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, more: list[str], word: str) -> None:
    done = start(JOB, tmp_path, *more)
    assert done.returncode == 2, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert word in last
    assert "Traceback" not in done.stderr


def test_the_scripts_say_what_they_miss(tmp_path: Path) -> None:
    script = ["bash", str(ROOT / "sbatch" / "smoke.sh")]
    elsewhere = start(script, tmp_path, cwd=tmp_path, SLURM_SUBMIT_DIR=str(tmp_path))
    assert (elsewhere.returncode, elsewhere.stderr.count("\n")) == (2, 1)
    by_hand = {key: value for key, value in os.environ.items() if key != "SLURM_SUBMIT_DIR"}
    done = subprocess.run(script, env=by_hand, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "sbatch" in done.stderr
    run = ["bash", str(ROOT / "repro" / "run.sh")]
    shown = subprocess.run([*run, "--help"], capture_output=True, text=True, check=True)
    assert "--compare" in shown.stdout
    short = subprocess.run([*run, "--compare"], capture_output=True, text=True, check=False)
    assert (short.returncode, short.stderr.count("\n")) == (2, 1)
