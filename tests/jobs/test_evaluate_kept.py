"""What an evaluation leaves: what it was held against, and the report where W&B shows it."""

import hashlib
import json
import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from tests.jobs.test_evaluate import ROOT, evaluate, sprites

FOLDER = Path("runs") / "evaluate" / "default" / "a"


def inspect(run):
    """Every record of a run that W&B wrote offline."""
    (file,) = run.glob("wandb/offline-run-*/*.wandb")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(file)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in told.splitlines()]


def artifacts(records):
    """Local files of each artifact, by its type and then by their paths in it."""
    found = {}
    for record in records:
        if record["type"] == "artifact":
            told = record["artifact"]
            files = {each["path"]: each["local_path"] for each in told["manifest"]["contents"]}
            found.setdefault(told["type"], {}).update(files)
    return found


def table(files, name):
    told = json.loads(Path(files[f"{name}.table.json"]).read_text())
    return [dict(zip(told["columns"], row, strict=True)) for row in told["data"]]


@pytest.fixture(scope="module")
def mirrored(tmp_path_factory):
    """An evaluation that misses a gate, with W&B offline."""
    root = tmp_path_factory.mktemp("mirrored")
    base, run = sprites(root / "base", shade=40), sprites(root / "run", shade=250)
    where = [f"runs_dir={root / 'runs'}", "run_id=a", "cluster=inline", "tracker=wandb"]
    more = [f"run={run}", f"base={base}", "num_cases=2", "gates.psnr_min_db=60"]
    done = subprocess.run(
        [sys.executable, "-m", "jobs.evaluate", *where, *more],
        cwd=ROOT, env={**os.environ, "WANDB_MODE": "offline"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    return root / FOLDER


@pytest.fixture(scope="module")
def sent(mirrored):
    return inspect(mirrored)


def test_the_base_is_kept_byte_for_byte(tmp_path):
    base, run = sprites(tmp_path / "base", shade=40), sprites(tmp_path / "run", shade=44)
    was = {file.name: file.read_bytes() for file in base.iterdir()}
    assert evaluate(tmp_path, f"run={run}", f"base={base}") == 0
    kept = tmp_path / FOLDER / "reference"
    assert {file.name: file.read_bytes() for file in kept.glob("*.png")} == was
    index = json.loads((kept / "index.json").read_text())
    assert index["set"] == "base"
    digests = {each["file"]: each["sha256"] for each in index["images"]}
    assert digests == {name: hashlib.sha256(data).hexdigest() for name, data in was.items()}
    assert all(each["source"] == str(base / each["file"]) for each in index["images"])
    report = json.loads((tmp_path / FOLDER / "report.json").read_text())
    assert report["reference"]["num_images"] == len(was)


def test_the_reference_goes_before_the_base_and_can_be_held_against_again(tmp_path):
    for name, shade in (("base", 40), ("run", 44), ("ideal", 50)):
        sprites(tmp_path / name, shade=shade)
    told = [f"{name}={tmp_path / name}" for name in ("run", "base")]
    assert evaluate(tmp_path, *told, f"reference={tmp_path / 'ideal'}") == 0
    kept = tmp_path / FOLDER / "reference"
    assert json.loads((kept / "index.json").read_text())["set"] == "reference"
    first = json.loads((tmp_path / FOLDER / "run.json").read_text())["figures"]
    assert evaluate(tmp_path, *told, f"reference={kept}", "name=again") == 0
    again = tmp_path / "runs" / "evaluate" / "again" / "a"
    assert json.loads((again / "run.json").read_text())["figures"] == first


def test_art_is_kept_by_its_identity(tmp_path, smoke_data):
    run = sprites(tmp_path / "run", shade=44)
    assert evaluate(tmp_path, f"run={run}", f"art={smoke_data}") == 0
    card = json.loads((smoke_data / "dataset.json").read_text())
    art = json.loads((tmp_path / FOLDER / "report.json").read_text())["art"]
    assert art["digest"] == card["digest"]
    assert len(art["held_out"]) == card["splits"]["validation"]["num_images"] > 0
    assert all(len(each["sha256"]) == 64 for each in art["held_out"])
    assert not (tmp_path / FOLDER / "reference").exists()


def test_wandb_has_the_metrics_and_the_gates_as_tables(mirrored, sent):
    report = json.loads((mirrored / "report.json").read_text())
    files = artifacts(sent)["run_table"]
    metrics = {row["metric"]: row for row in table(files, "eval/metrics")}
    assert metrics.keys() == {each["info"]["name"] for each in report["metrics"]}
    orphans = next(e for e in report["metrics"] if e["info"]["name"] == "orphan_share")
    assert metrics["orphan_share"]["run"] == orphans["by"]["run"]["value"]
    assert metrics["orphan_share"]["better"] == "lower"
    (gate,) = table(files, "eval/gates")
    assert (gate["bound"], gate["passes"]) == (60, False)


def test_wandb_has_the_cases_with_their_pictures(mirrored, sent):
    files = artifacts(sent)["run_table"]
    rows = table(files, "eval/cases")
    assert [row["end"] for row in rows] == ["worst", "worst", "best", "best"]
    for row in rows:
        shown = {name: Image.open(files[row[name]["path"]]) for name in ("base", "run")}
        for name, picture in shown.items():
            source = Image.open(mirrored.parents[3] / name / row["file"]).convert("RGBA")
            middle = source.getpixel((4, 8))
            # Enlarged by 8 behind a frame of 2.
            assert picture.getpixel((2 + 4 * 8, 2 + 8 * 8)) == middle[:3]


def test_wandb_has_the_report_and_the_values(mirrored, sent):
    files = artifacts(sent)["evaluation"]
    assert files.keys() == {"report.html", "report.json", "report.png"}
    for name, local in files.items():
        assert Path(local).read_bytes() == (mirrored / name).read_bytes()
    summary = {}
    for record in sent:
        if record["type"] == "summary":
            summary |= record["summary"].get("update", {})
    assert 0 < summary["eval/ssim"] < 1
    assert summary["eval/chart._type"] == "image-file"
    assert Image.open(BytesIO((mirrored / "report.png").read_bytes())).width > 500
