"""What goes in comes out: each format, read back, gives every sprite's bytes."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.core.errors import InputError
from pipeline.export.conf import WHOLE_CELLS, ExportConfig, ExportFormat
from pipeline.export.run import export
from tests.pipeline.export.readers import READERS

SETTINGS = settings(max_examples=15, deadline=None)


@st.composite
def sprite_sets(draw: st.DrawFn, *, one_size: bool) -> list[np.ndarray]:
    count = draw(st.integers(1, 14))
    sides = st.tuples(st.integers(1, 22), st.integers(1, 22))
    sizes = [draw(sides)] * count if one_size else [draw(sides) for _ in range(count)]
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sprites = []
    for height, width in sizes:
        pixels = generator.integers(0, 256, (height, width, 4), dtype=np.uint8)
        # Transparent borders of any width, some half transparent pixels, colour under alpha 0.
        top, left = generator.integers(0, height + 1), generator.integers(0, width + 1)
        pixels[:top, :, 3] = 0
        pixels[:, :left, 3] = 0
        sprites.append(pixels)
    if draw(st.booleans()):
        sprites.append(sprites[0].copy())
    return sprites


def options(kind: ExportFormat) -> st.SearchStrategy[ExportConfig]:
    flag = st.just(False) if kind in WHOLE_CELLS else st.booleans()
    return st.builds(
        ExportConfig, format=st.just(kind), size_px=st.sampled_from([32, 64, 256]),
        padding_px=st.integers(0, 5), extrude_px=st.integers(0, 3), trim=flag, dedupe=flag,
        pot=st.booleans(),
    )  # fmt: skip


def seen_part(pixels: np.ndarray) -> np.ndarray:
    """The sprite without colours that trimming may drop: those outside of all that is visible."""
    rows, columns = np.nonzero(pixels[:, :, 3])
    kept = np.zeros_like(pixels)
    if len(rows):
        box = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        kept[box] = pixels[box]
    return kept


def write_art(folder: Path, sprites: list[np.ndarray]) -> list[str]:
    folder.mkdir()
    for i, pixels in enumerate(sprites):
        Image.fromarray(pixels).save(folder / f"tile_t_{i}_0.png")
    return [f"tile_t_{i}_0" for i in sorted(range(len(sprites)), key=str)]


def check(kind: ExportFormat, sprites: list[np.ndarray], cfg: ExportConfig) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_art(folder / "art", sprites)
        try:
            export(folder / "art", folder / "out", cfg)
        except InputError as error:
            assert "Tiled counts" in str(error)
            assume(False)
        cuts = READERS[kind.value](folder / "out")
        assert len(cuts) == len(sprites)
        for i, pixels in enumerate(sprites):
            restored = cuts[f"tile_t_{i}_0"].restore((pixels.shape[1], pixels.shape[0]))
            if not cfg.trim:
                assert np.array_equal(restored, pixels)
            elif pixels[:, :, 3].any():
                assert np.array_equal(restored, seen_part(pixels))
            else:
                assert not restored[:, :, 3].any()


@pytest.mark.parametrize("kind", list(ExportFormat), ids=lambda kind: kind.value)
@SETTINGS
@given(data=st.data())
def test_sprites_of_one_size_come_back(kind: ExportFormat, data: st.DataObject) -> None:
    check(kind, data.draw(sprite_sets(one_size=True)), data.draw(options(kind)))


@pytest.mark.parametrize("kind", list(ExportFormat), ids=lambda kind: kind.value)
@SETTINGS
@given(data=st.data())
def test_sprites_of_many_sizes_come_back(kind: ExportFormat, data: st.DataObject) -> None:
    check(kind, data.draw(sprite_sets(one_size=False)), data.draw(options(kind)))


def test_several_pages_of_each_format(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    sprites = [generator.integers(0, 256, (24, 24, 4), dtype=np.uint8) for _ in range(9)]
    for kind in ExportFormat:
        cfg = ExportConfig(format=kind, size_px=64)
        with tempfile.TemporaryDirectory() as name:
            write_art(Path(name) / "art", sprites)
            atlas = export(Path(name) / "art", Path(name) / "out", cfg)
        assert len(atlas.boxes) == 3
        check(kind, sprites, cfg)


@pytest.mark.parametrize("kind", list(ExportFormat), ids=lambda kind: kind.value)
def test_names_that_look_like_numbers_stay_names(kind: ExportFormat, tmp_path: Path) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (4, 8, 8, 4), dtype=np.uint8)
    write_art(tmp_path / "art", list(pixels))
    export(tmp_path / "art", tmp_path / "out", ExportConfig(format=kind, name_pattern="{index}"))
    cuts = READERS[kind.value](tmp_path / "out")
    for index in range(4):
        assert np.array_equal(cuts[str(index)].restore((8, 8)), pixels[index])


def test_the_same_pixels_share_a_place_only_when_asked(tmp_path: Path) -> None:
    pixels = np.full((8, 8, 4), 200, np.uint8)
    write_art(tmp_path / "art", [pixels, pixels, pixels // 2])
    for dedupe, places in ((False, 3), (True, 2)):
        cfg = ExportConfig(format=ExportFormat.bevy, dedupe=dedupe)
        export(tmp_path / "art", tmp_path / str(dedupe), cfg)
        cuts = READERS["bevy"](tmp_path / str(dedupe))
        assert len({cut.rect for cut in cuts.values()}) == places
        assert len(cuts) == 3


def test_frames_of_an_animation_stand_together_in_order(tmp_path: Path) -> None:
    art = tmp_path / "art"
    art.mkdir()
    # By file name frame 10 comes before frame 2, and another sprite between.
    for name in ("hero_walk_0_10", "hero_walk_0_2", "hero_walk_0_1", "hero_walk_1_0"):
        Image.new("RGBA", (8, 8), (len(name), 0, 0, 255)).save(art / f"{name}.png")
    export(art, tmp_path / "ase", ExportConfig(format=ExportFormat.aseprite))
    frames = list(READERS["aseprite"](tmp_path / "ase"))
    assert frames == ["hero_walk_0_1", "hero_walk_0_2", "hero_walk_0_10", "hero_walk_1_0"]


@pytest.mark.parametrize("kind", list(ExportFormat), ids=lambda kind: kind.value)
def test_the_same_input_gives_the_same_bytes(kind: ExportFormat, tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    sprites = [generator.integers(0, 256, (9 + i % 4, 12, 4), dtype=np.uint8) for i in range(20)]
    write_art(tmp_path / "art", sprites)
    written = []
    for name in ("one", "two"):
        export(tmp_path / "art", tmp_path / name, ExportConfig(format=kind, size_px=64))
        written.append({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()})
    assert written[0] == written[1]
