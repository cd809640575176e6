"""jobs.restore and jobs.show as a user types them."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import jobs.restore
import jobs.show
from pipeline.core.files import write_json
from pipeline.core.manifest import ManifestWriter
from pipeline.data.conf import ArtKind, SourceConfig, SourceKind
from pipeline.data.sources.procedural import draw_procedural


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Three enlarged tiles, and one picture without a grid."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    cfg = SourceConfig(kind=SourceKind.procedural, num_images=3)
    for number, one in enumerate(draw_procedural(cfg, art=ArtKind.tile, seed=7, size_px=32)):
        native = Image.fromarray(one.pixels).convert("RGB")
        native.save(tmp_path / f"{number}.png")
        native.resize((256, 256), Image.Resampling.NEAREST).save(folder / f"{number}.png")
    Image.new("RGB", (200, 200), (9, 9, 9)).save(folder / "flat.bmp")
    return folder


def restore(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["restore", *map(str, arguments)])
    return jobs.restore.main()


def same(left: Path, right: Path) -> bool:
    pixels = []
    for file in (left, right):
        with Image.open(file) as image:
            pixels.append(np.asarray(image.convert("RGB")))
    return np.array_equal(*pixels)


def test_a_folder_of_pictures(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    out = tmp_path / "out"
    assert restore(monkeypatch, pictures, "--out", out) == 0
    said = capsys.readouterr().out
    assert "flat.bmp: not sure" in said
    assert "3 of 4" in said
    assert not (out / "flat.png").exists()
    for number in range(3):
        assert same(out / f"{number}.png", tmp_path / f"{number}.png")
        assert same(out / f"{number}_x8.png", pictures / f"{number}.png")
    told = json.loads((out / "export.json").read_text())["restored"]
    assert told["flat.bmp"]["not_sure"]
    assert told["0.png"]["grid"]["period_px"] == pytest.approx(8, abs=0.01)
    again = ("--copy-unsure", "--enlarge", 4, "--scaler", "scale2x", "--palette", "pico8")
    assert restore(monkeypatch, pictures, "--out", out, *again) == 0
    assert (out / "flat.bmp").read_bytes() == (pictures / "flat.bmp").read_bytes()
    with Image.open(out / "0_x4.png") as image:
        assert image.size == (128, 128)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--enlarge", "0"], "enlarge: 0"),
        (["--enlarge", "3", "--scaler", "scale2x"], "enlarge: 3"),
        (["--enlarge", "5", "--scaler", "learned"], "enlarge: 5"),
        (["--enlarge", "2", "--scaler", "learned", "--scaler-python", "no"], "no such Python"),
        (["--palette", "none.gpl"], "none.gpl"),
        (["--palette", "folder"], "palette: folder"),
        (["--native-size-px", "20"], "none of its 4 pictures"),
        (["--native-size-px", "0"], "native_size_px: 0"),
        (["--denoise", "2"], "strength: 2"),
    ],
)
def test_what_cannot_be_is_one_line_and_leaves_nothing(
    arguments: list[str], part: str, pictures: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert restore(monkeypatch, pictures, "--out", tmp_path / "out", *arguments) == 2
    lines = [one for one in capsys.readouterr().err.splitlines() if one.startswith("error: ")]
    assert len(lines) == 1
    assert part in lines[0]
    assert not (tmp_path / "out").exists()


def test_pictures_that_cannot_be(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    out = tmp_path / "out"
    assert restore(monkeypatch, tmp_path / "none", "--out", out) == 2
    (tmp_path / "empty").mkdir()
    assert restore(monkeypatch, tmp_path / "empty", "--out", out) == 2
    (pictures / "0.jpg").write_bytes((pictures / "0.png").read_bytes())
    assert restore(monkeypatch, pictures, "--out", out) == 2
    (pictures / "0.jpg").unlink()
    (pictures / "0.png").write_bytes((pictures / "0.png").read_bytes()[:100])
    assert restore(monkeypatch, pictures, "--out", out) == 2
    lines = capsys.readouterr().err.splitlines()
    for line, part in zip(lines, ("no such", "no pictures", "rename", "0.png"), strict=True):
        assert part in line
    assert not out.exists()


def test_two_pictures_that_want_one_name_are_told(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (pictures / "0_x8.png").write_bytes((pictures / "1.png").read_bytes())
    out = tmp_path / "out"
    assert restore(monkeypatch, pictures, "--out", out) == 2
    assert "0_x8.png" in capsys.readouterr().err
    assert not out.exists()


def test_show_tells_what_made_an_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    writer = ManifestWriter(tmp_path / "manifest-00000.jsonl")
    for index, prompt in enumerate(["red gem", "blue gem"]):
        record = {
            "file": f"{index:09d}.png",
            "prompt": prompt,
            "seed": 5,
            "noise_index": 40 + index,
        }
        writer.append(record | {"index": index})
    writer.close()
    write_json(
        tmp_path / "recipe.json",
        {"project": {"commit": "c0ffee" * 6}, "model": {"sha256": "abc123" * 10}},
    )
    monkeypatch.setattr(sys, "argv", ["show", str(tmp_path), "--rows", "1"])
    assert jobs.show.main() == 0
    _, row, last = capsys.readouterr().out.splitlines()
    for part in ("000000000.png", "red gem", "5", "40", "c0ffee", "abc123"):
        assert part in row
    assert "1 of 2" in last
    monkeypatch.setattr(sys, "argv", ["show", str(tmp_path / "none")])
    assert jobs.show.main() == 2
