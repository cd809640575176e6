import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from jobs.evaluate import SCHEMA
from jobs.runtime.cli import main

ROOT = Path(__file__).parents[2]


def sprites(folder, *, shade):
    folder.mkdir()
    for number in range(6):
        pixels = np.zeros((16, 16, 4), np.uint8)
        pixels[3:13, 3 : 6 + number] = [shade, 90, 200, 255]
        Image.fromarray(pixels).save(folder / f"{number:09d}.png")
    return folder


def evaluate(tmp_path, *more):
    where = [f"runs_dir={tmp_path / 'runs'}", "run_id=a", "cluster=inline"]
    return main("evaluate", SCHEMA, [*where, *more])


def test_a_run_leaves_page_record_and_figures(tmp_path):
    base, run = sprites(tmp_path / "base", shade=40), sprites(tmp_path / "run", shade=44)
    assert evaluate(tmp_path, f"run={run}", f"base={base}", "gates.ssim_min=0.5") == 0
    folder = tmp_path / "runs" / "evaluate" / "default" / "a"
    assert (folder / "report.html").stat().st_size > 1000
    told = json.loads((folder / "report.json").read_text())
    assert told["passes"]
    record = json.loads((folder / "run.json").read_text())
    assert record["status"] == "finished"
    assert 0.5 < record["figures"]["ssim"] < 1


def test_a_missed_gate_is_status_1_and_stands_in_the_record(tmp_path):
    base, run = sprites(tmp_path / "base", shade=40), sprites(tmp_path / "run", shade=250)
    # A job that fails leaves its process.
    where = [f"runs_dir={tmp_path / 'runs'}", "run_id=a", "cluster=inline"]
    command = [sys.executable, "-m", "jobs.evaluate", *where, f"run={run}", f"base={base}"]
    done = subprocess.run(
        [*command, "gates.psnr_min_db=60"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "psnr_db" in done.stdout + done.stderr
    folder = tmp_path / "runs" / "evaluate" / "default" / "a"
    assert (folder / "report.html").is_file()
    record = json.loads((folder / "run.json").read_text())
    assert record["status"] == "failed"
    assert "psnr_db" in record["attempts"][-1]["reason"]


def test_raters_get_a_page_and_a_key(tmp_path):
    one, two = sprites(tmp_path / "one", shade=40), sprites(tmp_path / "two", shade=90)
    page = tmp_path / "page.html"
    more = [f"make.runs=[{one},{two}]", "make.mode=pairwise", f"make.out={page}"]
    assert evaluate(tmp_path, "rubric=make", *more) == 0
    assert page.is_file()
    assert (tmp_path / "page.key.json").is_file()
