"""jobs.export and jobs.tileset as a user types them: whole or not at all, one line when not."""

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import jobs.export
from pipeline.core.files import sha256_file
from pipeline.core.manifest import ManifestWriter
from tests.jobs.test_broken_inputs import ROOT, fails, namespace
from tests.pipeline.export.readers import READERS

PROMPTS = ["red potion", "", "\u706b\u7403", "x " * 400, "red potion", "grass floor tile"]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder as two ranks of jobs.generate leave it."""
    folder = tmp_path / "run"
    (folder / "images").mkdir(parents=True)
    writers = [ManifestWriter(folder / f"manifest-0000{rank}.jsonl") for rank in (0, 1)]
    generator = np.random.default_rng(0)
    for index, prompt in enumerate(PROMPTS):
        file = folder / "images" / f"{index:09d}.png"
        Image.fromarray(generator.integers(0, 256, (16, 16, 4), dtype=np.uint8)).save(file)
        record = {"file": file.name, "index": index, "prompt": prompt, "seed_number": 0}
        verdict = {"finish": {"verdict": {"passes": index % 2 == 0}}}
        writers[index % 2].append(record | {"sha256": sha256_file(file)} | verdict)
    for writer in writers:
        writer.close()
    return folder


def export(*arguments: object) -> str:
    command = [sys.executable, "-m", "jobs.export", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(*arguments: object) -> str:
    return fails(sys.executable, "-m", "jobs.export", *map(str, arguments))


def in_process(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["export", *map(str, arguments)])
    return jobs.export.main()


def test_a_run_becomes_an_atlas_in_order_of_index(run: Path, tmp_path: Path) -> None:
    assert "6 sprites on 1 pages" in export(run, "--format", "bevy", "--out", tmp_path / "art")
    cuts = list(READERS["bevy"](tmp_path / "art").items())
    assert [name for name, _ in cuts][:1] == ["potion_red_0_0"]
    assert "potion_red-2_0_0" in dict(cuts)
    for index, (_, cut) in enumerate(cuts):
        original = np.array(Image.open(run / "images" / f"{index:09d}.png"))
        assert np.array_equal(cut.restore((16, 16)), original)
    ledger = json.loads((tmp_path / "art" / "export.json").read_text())
    assert [sprite["prompt"] for sprite in ledger["sprites"]] == PROMPTS
    for name, digest in ledger["files"].items():
        assert sha256_file(tmp_path / "art" / name) == digest


def test_only_passing_and_a_pattern(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "art"
    pattern = "{category}_{index:03d}"
    arguments = ("--format", "sheet", "--only-passing", "--name-pattern", pattern)
    assert in_process(monkeypatch, run, "--out", out, *arguments) == 0
    assert list(READERS["sheet"](out)) == ["potion_000", "sprite_001", "potion_002"]


def test_an_export_nobody_touched_is_replaced_and_any_other_is_kept(
    run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "art"
    export(run, "--format", "godot", "--out", out)
    export(run, "--format", "tiled", "--out", out)
    assert {p.suffix for p in out.iterdir()} == {".png", ".tsx", ".json"}
    (out / "mine.txt").write_text("mine")
    assert "mine.txt" in refused(run, "--out", out)
    (out / "mine.txt").unlink()
    (out / "atlas_0.tsx").write_text("edited")
    assert "atlas_0.tsx" in refused(run, "--out", out)
    assert (out / "atlas_0.tsx").read_text() == "edited"
    other = tmp_path / "other"
    other.mkdir()
    export(run, "--out", other)
    shutil.rmtree(other)
    other.write_text("a file")
    assert "no folder" in refused(run, "--out", other)
    assert "export.json" in refused(run, "--out", run)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["art", "other", "run"]


def missing(run: Path) -> None:
    (run / "images" / "000000003.png").unlink()


def changed(run: Path) -> None:
    file = run / "images" / "000000003.png"
    data = bytearray(file.read_bytes())
    data[60] ^= 1
    file.write_bytes(data)


def truncated(run: Path) -> None:
    file = run / "images" / "000000003.png"
    file.write_bytes(file.read_bytes()[:300])
    rewrite(run, sha256=sha256_file(file))


def rewrite(run: Path, **values: object) -> None:
    """Change image 3's record."""
    manifest = run / "manifest-00001.jsonl"
    records = [json.loads(line) for line in manifest.read_text().splitlines()]
    records = [r | values if r["index"] == 3 else r for r in records]
    manifest.write_text("".join(json.dumps(record) + "\n" for record in records))


def deep(run: Path) -> None:
    file = run / "images" / "000000003.png"
    Image.new("I;16", (16, 16)).save(file)
    rewrite(run, sha256=sha256_file(file))


BROKEN: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "missing image": (missing, ["000000003.png", "missing"]),
    "changed byte": (changed, ["000000003.png", "changed"]),
    "broken PNG": (truncated, ["000000003.png", "not a whole PNG"]),
    "16 bits": (deep, ["000000003.png", "I;16"]),
    "no prompt": (lambda run: rewrite(run, prompt=None), ["manifest-00001.jsonl", "prompt"]),
    "path": (lambda run: rewrite(run, file="../x.png"), ["manifest-00001.jsonl", "../x.png"]),
    "torn manifest": (
        lambda run: (run / "manifest-00000.jsonl").write_text("{\n{}\n"),
        ["manifest-00000.jsonl:1"],
    ),
    "no images": (lambda run: [p.unlink() for p in run.rglob("manifest*")], ["no PNG files"]),
    "no folder": (shutil.rmtree, ["no such folder"]),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_input_is_one_line_and_leaves_nothing(
    kind: str, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    harm, parts = BROKEN[kind]
    harm(run)
    assert in_process(monkeypatch, run, "--out", tmp_path / "art") == 2
    (line,) = capsys.readouterr().err.splitlines()
    for part in ("error: ", *parts):
        assert part in line
    assert not (tmp_path / "art").exists()
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--size-px", "100"], "size_px: 100"),
        (["--size-px", "16"], "with extrusion, size_px is 16"),
        (["--format", "tiled", "--trim"], "trim: the tiled format"),
        (["--name-pattern", "{nme}"], "no field 'nme'"),
        (["--format", "godot", "--name-pattern", "sprite_frames"], "sprite_frames.tres"),
    ],
)
def test_options_that_cannot_be_are_one_line(
    arguments: list[str], part: str, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert in_process(monkeypatch, run, "--out", tmp_path / "art", *arguments) == 2
    assert part in capsys.readouterr().err
    assert not (tmp_path / "art").exists()


def test_an_image_without_a_verdict_is_not_passed_over(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rewrite(run, finish=None)
    assert in_process(monkeypatch, run, "--only-passing", "--out", tmp_path / "art") == 2
    assert "finish.verdict.passes" in capsys.readouterr().err


def test_an_image_that_was_made_again_has_the_record_that_fits(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = run / "images" / "000000003.png"
    Image.new("RGBA", (16, 16), "red").save(file)
    writer = ManifestWriter(run / "manifest-00000.jsonl")
    record = {"file": file.name, "index": 3, "prompt": "a shield", "seed_number": 1}
    writer.append(record | {"sha256": sha256_file(file)})
    writer.close()
    assert in_process(monkeypatch, run, "--format", "sheet", "--out", tmp_path / "art") == 0
    assert list(READERS["sheet"](tmp_path / "art"))[3] == "shield_a_1_0"


@pytest.mark.parametrize("kind", READERS)
def test_half_a_character_in_a_prompt_stops_nothing(
    kind: str, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewrite(run, prompt="\ud83d \x00 orc")
    assert in_process(monkeypatch, run, "--format", kind, "--out", tmp_path / "art") == 0
    assert "sprite_orc_0_0" in READERS[kind](tmp_path / "art")


def test_a_place_that_cannot_be_is_named(run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "no folder" in refused(run, "--out", tmp_path / "file" / "art")


def test_a_full_disk_leaves_nothing(run: Path, tmp_path: Path) -> None:
    disk, kept = tmp_path / "disk", tmp_path / "kept"
    disk.mkdir()
    script = f"mount -t tmpfs -o size=8k none {disk}; trap 'ls -A {disk} > {kept}' EXIT"
    command = namespace(script, sys.executable, "-m", "jobs.export", str(run), "--out", f"{disk}/a")
    command[command.index("-ec") + 1] = f'{script}; "$@"'
    assert "No space left" in fails(*command)
    assert kept.read_text() == ""


def test_a_failed_exchange_puts_the_old_export_back(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "art"
    assert in_process(monkeypatch, run, "--out", out) == 0
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if target == out and not self.name.endswith(".old"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    assert in_process(monkeypatch, run, "--format", "bevy", "--out", out) == 2
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["art", "run"]


def test_a_tileset_from_the_command_line(tmp_path: Path) -> None:
    for name, colour in (("water", "navy"), ("grass", "green")):
        Image.new("RGB", (16, 16), colour).save(tmp_path / f"{name}.png")
    command = [sys.executable, "-m", "jobs.tileset", "water.png", "grass.png", "--out", "ts"]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run(
        [*command, "--kind", "blob", "--boundary", "outline"], cwd=tmp_path, env=environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "48 tiles" in done.stdout
    assert len(READERS["tiled"](tmp_path / "ts")) == 48
    bad = fails(sys.executable, "-m", "jobs.tileset", "a", "b", "--out", "c", "--roughness", "1")
    assert "roughness" in bad
