from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from pipeline.core.errors import InputError
from pipeline.pixels.chain import Finisher
from pipeline.pixels.conf import DitherConfig, DitherName, FinishConfig, PaletteConfig, PaletteName
from pipeline.pixels.kmeans import cluster, count_colours
from pipeline.pixels.oklab import UNIT, distance2, from_oklab, nearest, to_oklab
from pipeline.pixels.palette_files import read_palette, write_palette
from pipeline.pixels.palettes import Palette, folder_palette, load_palette, snap

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
FIXED = {
    PaletteName.pico8: 16,
    PaletteName.db16: 16,
    PaletteName.db32: 32,
    PaletteName.endesga32: 32,
    PaletteName.gameboy: 4,
    PaletteName.nes: 54,
}
colour_lists = arrays(np.uint8, st.tuples(st.integers(1, 40), st.just(3)))


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [
        # The reference values of Ottosson's page, by way of the CSS Color 4 specification.
        ((255, 255, 255), (1.0, 0.0, 0.0)),
        ((255, 0, 0), (0.62796, 0.22486, 0.12585)),
        ((0, 255, 0), (0.86644, -0.23389, 0.17950)),
        ((0, 0, 255), (0.45201, -0.03246, -0.31153)),
        ((0, 0, 0), (0.0, 0.0, 0.0)),
    ],
)
def test_oklab_is_ottossons(rgb: tuple[int, int, int], lab: tuple[float, float, float]) -> None:
    found = to_oklab(torch.tensor([rgb], dtype=torch.uint8))[0] / UNIT
    assert found.tolist() == pytest.approx(lab, abs=2e-4)


@given(colour_lists)
def test_oklab_goes_there_and_back(colours: Pixels) -> None:
    lab = to_oklab(torch.from_numpy(colours)).numpy().astype(np.float64) / UNIT
    assert np.array_equal(from_oklab(lab), colours)


def test_beside_bright_channels_a_dark_one_comes_back_too() -> None:
    """A level of a dark channel is there less than half a unit: rounding alone is one off."""
    colours = np.array([(0, 255, 255), (0, 230, 183), (0, 234, 7)], np.uint8)
    lab = to_oklab(torch.from_numpy(colours)).numpy().astype(np.float64) / UNIT
    assert np.array_equal(from_oklab(lab), colours)


@given(colour_lists, colour_lists)
def test_the_nearest_is_the_nearest_by_brute_force(colours: Pixels, palette: Pixels) -> None:
    left, right = (to_oklab(torch.from_numpy(c)) for c in (colours, palette))
    index, away = nearest(left, right)
    for row, colour in enumerate(left.tolist()):
        all_away = [
            sum((a - b) ** 2 for a, b in zip(colour, other, strict=True))
            for other in right.tolist()
        ]
        assert int(away[row]) == min(all_away)
        assert int(index[row]) == all_away.index(min(all_away))


def test_distances_in_parts_are_those_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.Generator(np.random.Philox(key=4))
    colours = to_oklab(torch.from_numpy(rng.integers(0, 256, (500, 3), dtype=np.uint8)))
    whole = nearest(colours, colours[:30])
    monkeypatch.setattr("pipeline.pixels.oklab.CHUNK", 64)
    assert all(
        torch.equal(a, b) for a, b in zip(whole, nearest(colours, colours[:30]), strict=True)
    )


@pytest.mark.parametrize("name", FIXED)
def test_fixed_palettes_are_whole(name: PaletteName) -> None:
    palette = load_palette(PaletteConfig(name=name))
    assert palette is not None
    assert palette.colours_K3.shape == (FIXED[name], 3)
    assert len(np.unique(palette.colours_K3, axis=0)) == FIXED[name]


@pytest.mark.parametrize("name", FIXED)
def test_snapping_twice_is_snapping_once(sprites: Pixels, name: PaletteName) -> None:
    palette = load_palette(PaletteConfig(name=name))
    assert palette is not None
    once = snap(torch.from_numpy(sprites), palette)
    assert torch.equal(snap(once, palette), once)
    assert torch.equal(once[..., 3], torch.from_numpy(sprites)[..., 3])


@settings(max_examples=25, deadline=None)
@given(colour_lists, st.integers(1, 12), st.integers(0, 5))
def test_clusters_are_few_and_do_not_depend_on_order(colours: Pixels, num: int, seed: int) -> None:
    image = colours[None]
    found = cluster(*count_colours([image]), num_colours=num, seed=seed)
    assert len(found) <= num
    again = cluster(*count_colours([image[:, ::-1]]), num_colours=num, seed=seed)
    assert np.array_equal(found, again)
    if len(np.unique(colours, axis=0)) <= num:
        assert np.array_equal(found, np.unique(colours, axis=0))


def test_clusters_lie_where_the_colours_are() -> None:
    rng = np.random.Generator(np.random.Philox(key=5))
    centres = np.array([[200, 40, 40], [40, 180, 60], [50, 60, 210]])
    spread = centres[rng.integers(0, 3, 3000)] + rng.integers(-6, 7, (3000, 3))
    image = spread.astype(np.uint8)[None]
    for seed in range(5):
        found = cluster(*count_colours([image]), num_colours=3, seed=seed)
        assert sorted(found.tolist()) == [pytest.approx(c, abs=4) for c in sorted(centres.tolist())]


def test_a_locked_palette_is_one_for_the_batch(opaque: Pixels) -> None:
    cfg = FinishConfig(palette=PaletteConfig(name=PaletteName.kmeans, num_colours=6, lock=True))
    done = Finisher(cfg, native_size_px=32)(opaque)
    assert len({one.record["palette"]["sha256"] for one in done}) == 1
    assert len(np.unique(np.stack([one.pixels for one in done]).reshape(-1, 3), axis=0)) <= 6
    cfg.palette.lock = False
    apart = Finisher(cfg, native_size_px=32)(opaque)
    assert len({one.record["palette"]["sha256"] for one in apart}) > 1
    assert all(one.record["verdict"]["colours"]["measured"] <= 6 for one in apart)


def test_a_folder_gives_its_own_colours(tmp_path: Path, opaque: Pixels) -> None:
    for number, native in enumerate(opaque[:4]):
        Image.fromarray(native).save(tmp_path / f"{number}.png")
    seen = np.unique(opaque[:4].reshape(-1, 3), axis=0)
    own = folder_palette(tmp_path, num_colours=4096, seed=0)
    assert np.array_equal(own.colours_K3, seen)
    assert len(folder_palette(tmp_path, num_colours=5, seed=0).colours_K3) <= 5


def test_folders_without_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no images"):
        folder_palette(tmp_path, num_colours=4, seed=0)
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"a\.png"):
        folder_palette(tmp_path, num_colours=4, seed=0)


@pytest.mark.parametrize("ending", [".hex", ".gpl", ".pal"])
@settings(max_examples=20, deadline=None)
@given(colours=colour_lists)
def test_palette_files_come_back(
    tmp_path_factory: pytest.TempPathFactory, ending: str, colours: Pixels
) -> None:
    path = tmp_path_factory.mktemp("palette") / f"a{ending}"
    distinct = np.array(list(dict.fromkeys(map(tuple, colours.tolist()))), dtype=np.uint8)
    write_palette(path, distinct, name="a palette\nof two lines")
    assert np.array_equal(read_palette(path), distinct)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.hex", "112233\nnonsense\n", ":2:"),
        ("a.hex", "112233\n12345\n", ":2:"),
        ("a.hex", "\n", "0 colours"),
        ("a.gpl", "1 2 3\n", ":1:"),
        ("a.gpl", "", ":1:"),
        ("a.gpl", "GIMP Palette\nName: x\n#\n1 2 3\n1 2 300 red\n", ":5:"),
        ("a.gpl", "GIMP Palette\n1 2\n", ":2:"),
        ("a.pal", "JASC-PAL\n0100\n2\n1 2 3\n", ":3:"),
        ("a.pal", "JASC-PAL\n0100\n1\n1 2 x\n", ":4:"),
        ("a.pal", "JASC-PAL\n0200\n1\n1 2 3\n", ":2:"),
        ("a.pal", "RIFF", ":1:"),
        ("a.act", "112233\n", r"\.act"),
        ("a.hex", "\ud800", "as text"),
    ],
)
def test_broken_palette_files_are_named(tmp_path: Path, name: str, text: str, told: str) -> None:
    path = tmp_path / name
    path.write_bytes(text.encode("utf-8", errors="surrogatepass"))
    with pytest.raises(InputError, match=told) as caught:
        Finisher(
            FinishConfig(palette=PaletteConfig(name=PaletteName.file, path=path)),
            native_size_px=None,
        )
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_palette_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"b\.gpl"):
        read_palette(tmp_path / "b.gpl")


@pytest.mark.parametrize("name", DitherName)
def test_dither_uses_the_palette_and_leaves_its_colours(sprites: Pixels, name: DitherName) -> None:
    dithered = DitherConfig(name=name)
    cfg = FinishConfig(palette=PaletteConfig(name=PaletteName.gameboy), dither=dithered)
    finisher = Finisher(cfg, native_size_px=32)
    done = finisher(sprites)
    allowed = {tuple(c) for c in load_palette(cfg.palette).colours_K3.tolist()}  # type: ignore[union-attr]
    for one, native in zip(done, sprites, strict=True):
        visible = one.pixels[..., 3] > 0
        assert {tuple(c) for c in one.pixels[visible][:, :3].tolist()} <= allowed
        assert np.array_equal(one.pixels[..., 3], native[..., 3])
        (again,) = finisher(one.pixels[None])
        assert np.array_equal(again.pixels, one.pixels)


@pytest.mark.parametrize("name", [n for n in DitherName if n is not DitherName.none])
def test_dither_keeps_the_lightness_of_a_ramp(name: DitherName) -> None:
    """Black and white in the right parts: the mean of a patch is that of the grey it stands for."""
    palette = np.array([[0, 0, 0], [255, 255, 255]], dtype=np.uint8)
    lights = []
    for grey in (60, 110, 160, 210):
        image = np.full((1, 32, 32, 3), grey, dtype=np.uint8)
        cfg = FinishConfig(
            palette=PaletteConfig(name=PaletteName.gameboy), dither=DitherConfig(name=name)
        )
        (one,) = Finisher(cfg, native_size_px=32, palette=Palette(name="two", colours_K3=palette))(
            image
        )
        wish = float(to_oklab(torch.from_numpy(image))[0, 0, 0, 0]) / UNIT
        lights.append((float((one.pixels == 255).mean()), wish))
    shown = [share for share, _ in lights]
    assert shown == sorted(shown)
    # Bayer of two by two has four steps between black and white.
    assert len(set(shown)) >= 3
    if name is DitherName.floyd_steinberg:
        assert all(share == pytest.approx(wish, abs=0.03) for share, wish in lights)


def test_squared_distances_fit_their_type() -> None:
    corners = np.array(np.meshgrid([0, 255], [0, 255], [0, 255])).reshape(3, 8).T.astype(np.uint8)
    lab = to_oklab(torch.from_numpy(corners))
    exact = ((lab[:, None].long() - lab[None].long()) ** 2).sum(dim=-1)
    assert torch.equal(distance2(lab[:, None], lab[None]).long(), exact)
