"""jobs.generate and jobs.verify as a user runs them."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.conf import GenerateJob
from jobs.runtime.config import compose_config
from jobs.runtime.freeze import freeze_run, load_frozen
from jobs.runtime.lock import take_lock
from jobs.runtime.record import join_records
from pipeline.core.errors import InputError
from pipeline.core.files import write_json
from pipeline.core.rundir import RunDir
from pipeline.core.world import World
from pipeline.generate.work import build_work

ROOT = Path(__file__).parents[2]
QUIET = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
WORK = [
    "model=pixelnano_blank", "name=g", "run_id=r", "prompts=['{thing} icon']",
    "grammar={thing: [orc, elf, red cap]}", "num_seeds=4", "batch_size=3", "sampler.num_steps=1",
]  # fmt: skip


def job(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, env=QUIET, capture_output=True, text=True,
        timeout=200, check=False,
    )  # fmt: skip


def test_a_dry_run_shows_the_work_and_leaves_nothing(tmp_path: Path) -> None:
    done = job("jobs.generate", *WORK, f"runs_dir={tmp_path}", "dry_run=true")
    assert done.returncode == 0, done.stderr
    assert "12" in done.stdout
    assert "elf icon" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("prompts=['{thin} icon']", ["grammar.thin", "thing"]),
        ("array=0", ["array", "0"]),
        ("variants=[{name: a},{name: a}]", ["variants", "differ"]),
        ("gates.near_duplicate_bits=40", ["gates.near_duplicate_bits", "40", "31"]),
        ("sampler.wrap=xy", ["sampler.wrap", "xy", "both"]),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, change: str, words: list[str]) -> None:
    done = job("jobs.generate", *WORK, f"runs_dir={tmp_path}", "dry_run=true", change)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert all(word in done.stderr for word in words), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_array_of_two_makes_what_one_job_makes_and_it_verifies(tmp_path: Path) -> None:
    for runs, more in (("one", ["cluster=inline"]), ("two", ["cluster=local", "array=2"])):
        done = job("jobs.generate", *WORK, f"runs_dir={tmp_path / runs}", *more)
        assert done.returncode == 0, done.stdout + done.stderr
    one, two = (tmp_path / runs / "generate" / "g" / "r" for runs in ("one", "two"))
    files = sorted(p.name for p in (one / "images").iterdir())
    assert len(files) == 12
    for name in files:
        assert (one / "images" / name).read_bytes() == (two / "images" / name).read_bytes()
    record = json.loads((two / "run.json").read_text())
    assert record["status"] == "finished"
    assert record["figures"]["num_images"] == 12
    assert len(record["attempts"]) == 2
    assert len(list(two.glob("array/*/run.json"))) == 2

    image = two / "images" / files[5]
    whole = job("jobs.verify", str(two), str(image), "--reproduce", "2")
    assert whole.returncode == 0, whole.stdout + whole.stderr
    assert "3 images made again" in whole.stdout
    image.write_bytes(image.read_bytes()[:-20])
    torn = job("jobs.verify", str(two))
    assert torn.returncode == 1
    assert files[5] in torn.stdout
    assert job("jobs.verify", str(tmp_path / "nothing")).returncode == 2


def test_a_file_of_prompts_is_frozen_with_the_run(tmp_path: Path) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text("orc\nelf\n")
    config = compose_config(
        "generate",
        GenerateJob,
        ["name=g", "run_id=r", f"prompts_file={file}", f"runs_dir={tmp_path}"],
    )
    run = freeze_run("generate", config, command="")
    file.write_text("something else\n")
    frozen = load_frozen(run, GenerateJob)
    assert [item.prompt for item in build_work(frozen)] == ["orc", "elf"]
    with pytest.raises(InputError, match="prompts_file"):
        freeze_run("generate", config, command="")
    file.unlink()
    with pytest.raises(InputError, match="prompts_file"):
        freeze_run("generate", dataclasses.replace(config, run_id="new"), command="")
    assert not (tmp_path / "generate" / "g" / "new").exists()


def test_an_array_and_a_plain_job_do_not_share_a_run(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    first, second = (World(array_index=i, array_size=2) for i in (0, 1))
    held = [take_lock(run.part(w.array_index), w, holder="1") for w in (first, second)]
    with pytest.raises(InputError, match="in use"):
        take_lock(run, World(), holder="2")
    with pytest.raises(InputError, match="in use"):
        take_lock(run.part(0), first, holder="3")
    other = World(array_index=2, array_size=3)
    with pytest.raises(InputError, match="in use"):
        take_lock(run.part(2), other, holder="4")
    for file in (file for files in held for file in files):
        file.close()
    plain = take_lock(run, World(), holder="5")
    with pytest.raises(InputError, match="in use"):
        take_lock(run.part(0), first, holder="6")
    plain[0].close()


def test_one_record_tells_of_all_jobs_of_an_array(tmp_path: Path) -> None:
    def part(index: int, status: str, started: str, ended: str | None) -> None:
        run = RunDir(tmp_path).part(index)
        attempt = {"job_id": f"{index}{started}", "started": started, "ended": ended}
        write_json(
            run.run_json,
            {
                "format": "f", "job": "generate", "run_id": "r", "status": status,
                "figures": {"by": index}, "gpu_hours": 0.5, "attempts": [attempt],
            },
        )  # fmt: skip

    part(0, "finished", "10", "20")
    part(1, "running", "11", None)
    part(2, "failed", "12", "15")
    told = join_records(RunDir(tmp_path))
    assert (told["status"], told["figures"], told["gpu_hours"]) == ("finished", {"by": 0}, 1.5)
    assert len(told["attempts"]) == 3
    # Submitted once more: what finished before says nothing of it.
    part(1, "running", "30", None)
    assert join_records(RunDir(tmp_path))["status"] == "running"
    part(1, "failed", "30", "31")
    assert join_records(RunDir(tmp_path))["status"] == "failed"
