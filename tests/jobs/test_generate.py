"""jobs.generate and jobs.verify as a user runs them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

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
