import json
import re
from pathlib import Path

import pytest
from PIL import Image

from eval.rubric import metrics
from eval.rubric.__main__ import main
from eval.rubric.grades import COLUMNS
from eval.rubric.key import read_key
from pipeline.core.picture import png_bytes
from tests.fakes.raters import grade_all, save, sprites


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr("sys.argv", ["rubric", *map(str, arguments)])
    return main()


def test_a_page_is_made_and_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed, name in enumerate(("one", "two")):
        (tmp_path / name).mkdir()
        for sprite in sprites(7, seed=seed):
            file = tmp_path / name / f"{sprite.name}.png"
            file.write_bytes(png_bytes(Image.fromarray(sprite.rgba)))
    page = tmp_path / "page.html"
    assert run(monkeypatch, "make", tmp_path / "one", tmp_path / "two", "--out", page) == 0
    assert "14 to rate, 6 of them twice" in capsys.readouterr().out
    key = read_key(tmp_path / "page.key.json")
    better = grade_all(key, "anna", lambda item, _: 5 if key.images[item].run == "two" else 2)
    file, scores = save(tmp_path, better), tmp_path / "scores.json"
    assert run(monkeypatch, "score", tmp_path / "page.key.json", file, "--out", scores) == 0
    assert "two against one, human_mean: better by 3.00" in capsys.readouterr().out
    written = json.loads(scores.read_text())
    assert written["differences"][-1]["difference"] == {"value": 3.0, "low": 3.0, "high": 3.0}


def test_what_is_wrong_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "make", tmp_path) == 2
    assert run(monkeypatch, "make", tmp_path, "--num-repeats", "-1") == 2
    assert run(monkeypatch, "score", tmp_path / "absent", tmp_path) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 3
    assert all(line.startswith("error: ") for line in told)


def test_every_figure_has_a_name_of_its_own() -> None:
    names = [metric.name for metric in metrics.METRICS]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", name) for name in names)
    assert {f"human_{column.removeprefix('human_')}" for column in COLUMNS} <= set(names)
