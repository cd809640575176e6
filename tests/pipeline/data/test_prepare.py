import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from pipeline.core.errors import InputError
from pipeline.data.conf import ArtKind, PrepareConfig, SourceConfig, SourceKind
from pipeline.data.dataset import Dataset
from pipeline.data.native import to_native
from pipeline.data.prepare import prepare


def sprite(seed: int, size: int = 32) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 255, (size, size, 4), dtype=np.uint8) | 128)


def run(folder: Path, out: Path, **changes: object) -> Dataset:
    kind = changes.pop("kind", SourceKind.folder)
    source = SourceConfig(kind=kind, path=folder, **changes.pop("source", {}))  # type: ignore[arg-type]
    cfg = PrepareConfig(source=source, out=out, validation_fraction=0.0, **changes)  # type: ignore[arg-type]
    assert prepare(cfg, should_stop=lambda: False).finished
    return Dataset.open(out)


def reasons(out: Path) -> dict[str, str]:
    report = json.loads((out / "report.json").read_text())
    return {row["name"]: row["reason"] for row in report["left_out"]}


@pytest.fixture
def art(tmp_path: Path) -> Path:
    folder = tmp_path / "art"
    folder.mkdir()
    for n in range(4):
        sprite(n).save(folder / f"sprite_{chr(97 + n)}.png")
    return folder


def test_same_art_same_bytes(art: Path, tmp_path: Path) -> None:
    left, right = run(art, tmp_path / "l"), run(art, tmp_path / "r")
    assert left.digest == right.digest
    assert (tmp_path / "l/train-000000.tar").read_bytes() == (
        tmp_path / "r/train-000000.tar"
    ).read_bytes()


def test_the_index_is_what_dalis_own_tool_writes(art: Path, tmp_path: Path) -> None:
    import subprocess
    import sys

    out = tmp_path / "out"
    run(art, out)
    tool = Path(sys.executable).with_name("wds2idx")
    subprocess.run([tool, out / "train-000000.tar", tmp_path / "theirs.idx"], check=True)
    assert (out / "train-000000.idx").read_text().split() == (
        tmp_path / "theirs.idx"
    ).read_text().split()


def test_captions_come_from_sidecars_or_names(art: Path, tmp_path: Path) -> None:
    (art / "sprite_a.txt").write_text("a red  potion\n")
    (art / "sprite_b.json").write_text(json.dumps({"caption": "orc", "licence": "CC-BY-3.0"}))
    # One may say what the other does not.
    (art / "sprite_d.txt").write_text("a blue slime")
    (art / "sprite_d.json").write_text(json.dumps({"licence": "CC0-1.0"}))
    (art / "sprite_a.png").rename(art / "RubyPotion_03.png")
    (art / "sprite_a.txt").rename(art / "RubyPotion_03.txt")
    sprite(9).save(art / "EmeraldRing7.png")
    split = run(art, tmp_path / "out").split("train")
    assert set(split.captions) == {
        "a red potion",
        "orc",
        "sprite c",
        "a blue slime",
        "emerald ring",
    }
    licences = {r["caption"]: r["licence"] for r in split.records}
    assert licences["orc"] == "CC-BY-3.0"
    assert licences["sprite c"] == "unknown"
    assert licences["a blue slime"] == "CC0-1.0"


@pytest.mark.parametrize("sidecars", [True, False])
def test_numbered_files_are_held_out_too(tmp_path: Path, sidecars: bool) -> None:
    folder = tmp_path / "numbered"
    folder.mkdir()
    for number in range(40):
        sprite(number).save(folder / f"img_{number:04d}.png")
        if sidecars:
            (folder / f"img_{number:04d}.txt").write_text(f"\ufeffthing {number}", encoding="utf-8")
    cfg = PrepareConfig(
        source=SourceConfig(path=folder), out=tmp_path / "out", validation_fraction=0.2
    )
    figures = prepare(cfg, should_stop=lambda: False).figures
    assert 0 < int(figures["num_validation"]) <= 8
    captions = Dataset.open(tmp_path / "out").split("train").captions
    assert all(c.startswith("thing ") if sidecars else c == "img" for c in captions)


def test_a_link_to_a_data_set_stays_a_link(art: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk")
    for _ in range(2):
        assert len(run(art, tmp_path / "out").split("train"))
    assert (tmp_path / "out").is_symlink()
    assert not list(tmp_path.glob(".*"))


def test_enlarged_art_comes_back_to_its_grid(art: Path, tmp_path: Path) -> None:
    for factor in (2, 5):
        big = sprite(20 + factor).resize((32 * factor,) * 2, Image.Resampling.NEAREST)
        big.save(art / f"big{factor}.png")
    sprite(30).resize((64, 64), Image.Resampling.BILINEAR).save(art / "blurred.png")
    dataset = run(art, tmp_path / "out")
    assert dataset.card["num_images"] == 6
    assert "neither" in reasons(tmp_path / "out")["blurred.png"]


@given(hnp.arrays(np.uint8, (8, 8, 4)), st.integers(1, 6))
def test_an_integer_enlargement_is_undone_exactly(pixels: np.ndarray, factor: int) -> None:  # type: ignore[type-arg]
    big = pixels.repeat(factor, axis=0).repeat(factor, axis=1)
    np.testing.assert_array_equal(to_native(big, size_px=8), pixels)


def test_unusable_files_are_listed_with_reasons_and_stop_nothing(art: Path, tmp_path: Path) -> None:
    whole = (art / "sprite_a.png").read_bytes()
    (art / "cut.png").write_bytes(whole[: len(whole) // 2])
    (art / "empty.png").write_bytes(b"")
    (art / "text.png").write_text("I am no image")
    Image.new("I;16", (32, 32)).save(art / "deep.png")
    Image.new("RGBA", (9000, 16)).save(art / "huge.png")
    Image.new("RGBA", (32, 32)).save(art / "invisible.png")
    Image.new("RGBA", (31, 32), (9, 9, 9, 255)).save(art / "odd.png")
    shutil.copy(art / "sprite_b.png", art / "twin.png")
    (art / "loop").symlink_to(art)
    (art / "self.png").symlink_to(art / "self.png")
    (art / "sprite_c.json").write_text("[]")
    dataset = run(art, tmp_path / "out")
    assert dataset.card["num_images"] == 3
    assert {
        name: reasons(tmp_path / "out")[name].split(":")[0] for name in reasons(tmp_path / "out")
    } == {
        "cut.png": "cannot be decoded",
        "deep.png": "mode I;16",
        "empty.png": "not an image that can be read",
        "huge.png": "9000x16 is larger than max_input_px=8192",
        "invisible.png": "only 0.0% of its pixels are visible",
        "odd.png": "31x32 is neither 32x32 nor an enlargement of it",
        "self.png": reasons(tmp_path / "out")["self.png"].split(":")[0],
        "sprite_c.png": "sprite_c.json",
        "text.png": "not an image that can be read",
        "twin.png": "same pixels as sprite_b.png",
    }
    with pytest.raises(InputError, match="strict: 10 files are unusable, the first is cut.png"):
        run(art, tmp_path / "strict", strict=True)
    assert not (tmp_path / "strict").exists()


@pytest.mark.parametrize("mode", ["P", "LA", "L", "RGB", "1"])
def test_every_mode_is_stored_as_rgba(tmp_path: Path, mode: str) -> None:
    folder = tmp_path / "art"
    folder.mkdir()
    sprite(1).convert("RGB").convert(mode).save(folder / "a.png")
    assert run(folder, tmp_path / "out").split("train").png_bytes(0)[25] == 6  # colour type: RGBA


def test_a_palette_with_transparency_keeps_it(tmp_path: Path) -> None:
    folder = tmp_path / "art"
    folder.mkdir()
    image = Image.new("P", (32, 32), 1)
    image.putpalette([0, 0, 0, 200, 10, 10])
    image.paste(0, (0, 0, 16, 32))
    image.save(folder / "a.png", transparency=0)
    dataset = run(folder, tmp_path / "out")
    assert dataset.card["kinds"] == {"tile": 0, "sprite": 1}


def test_sheets_are_cut_by_margin_and_spacing(tmp_path: Path) -> None:
    sheet = Image.new("RGBA", (2 * 32 + 3 + 2 * 1, 32 + 2 * 1))
    for column in range(2):
        sheet.paste(sprite(column), (1 + column * 35, 1))
    sheet.save(tmp_path / "orcs.png")
    (tmp_path / "orcs.json").write_text(json.dumps(["orc", "orc knight"]))
    options = {"cell_px": 32, "margin_px": 1, "spacing_px": 3}
    split = run(
        tmp_path / "orcs.png", tmp_path / "out", kind=SourceKind.sheet, source=options
    ).split("train")
    assert sorted(split.captions) == ["orc", "orc knight"]


def test_siblings_stay_on_one_side(tmp_path: Path) -> None:
    folder = tmp_path / "art"
    folder.mkdir()
    for name in range(40):
        for frame in range(3):
            sprite(name * 3 + frame).save(
                folder / f"{chr(97 + name % 26)}{'x' * (name // 26)}_{frame}.png"
            )
    source = SourceConfig(kind=SourceKind.folder, path=folder)
    cfg = PrepareConfig(source=source, out=tmp_path / "out", validation_fraction=0.3)
    prepare(cfg, should_stop=lambda: False)
    dataset = Dataset.open(tmp_path / "out")
    groups = [{r["group"] for r in dataset.split(s).records} for s in ("train", "validation")]
    assert groups[0]
    assert groups[1]
    assert not groups[0] & groups[1]


@pytest.mark.parametrize(
    ("break_it", "word"),
    [
        (lambda art: art / "absent", "is not a folder"),
        (lambda art: None, "not given"),
    ],
)
def test_a_source_that_is_not_there_is_named(
    art: Path, tmp_path: Path, break_it, word: str
) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=word):
        run(break_it(art), tmp_path / "out")


def test_a_folder_that_is_no_data_set_is_never_replaced(art: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious.txt").write_text("mine")
    with pytest.raises(InputError, match="not a data set"):
        run(art, tmp_path / "out")
    assert (tmp_path / "out" / "precious.txt").read_text() == "mine"


def test_a_data_set_is_replaced_whole_and_a_stop_leaves_nothing(art: Path, tmp_path: Path) -> None:
    first = run(art, tmp_path / "out")
    sprite(50).save(art / "new.png")
    source = SourceConfig(kind=SourceKind.folder, path=art)
    stopped = prepare(PrepareConfig(source=source, out=tmp_path / "out"), should_stop=lambda: True)
    assert not stopped.finished
    assert Dataset.open(tmp_path / "out").digest == first.digest
    assert run(art, tmp_path / "out").card["num_images"] == 5
    assert sorted(p.name for p in tmp_path.iterdir()) == ["art", "out"]


def test_procedural_art_is_seeded_and_of_the_kind_asked_for(tmp_path: Path) -> None:
    def make(name: str, seed: int, art: ArtKind) -> Dataset:
        source = SourceConfig(kind=SourceKind.procedural, num_images=12)
        cfg = PrepareConfig(source=source, out=tmp_path / name, seed=seed, art=art)
        prepare(cfg, should_stop=lambda: False)
        return Dataset.open(tmp_path / name)

    tiles = make("a", 1, ArtKind.tile)
    assert tiles.card["kinds"]["sprite"] == 0
    assert make("b", 1, ArtKind.tile).digest == tiles.digest
    assert make("c", 2, ArtKind.tile).digest != tiles.digest
    assert make("d", 1, ArtKind.sprite).card["kinds"]["tile"] == 0
