import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.core.errors import InputError
from pipeline.pixels.chain import Finisher
from pipeline.pixels.conf import (
    BackgroundConfig,
    CleanupConfig,
    DitherConfig,
    DitherName,
    FinishConfig,
    GridConfig,
    PaletteConfig,
    PaletteName,
    SeamConfig,
    VerdictConfig,
)
from pipeline.pixels.palette_files import write_palette
from pipeline.pixels.recipe import from_options, options

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def everything(**changes: Any) -> FinishConfig:
    steps: dict[str, Any] = {
        "grid": GridConfig(enabled=True),
        "background": BackgroundConfig(enabled=True),
        "palette": PaletteConfig(name=PaletteName.kmeans, num_colours=8),
        "dither": DitherConfig(name=DitherName.bayer4),
        "cleanup": CleanupConfig(orphans=True, outline=True),
        "seams": SeamConfig(check=True, repair=True),
    }
    return FinishConfig(**(steps | changes))


@settings(max_examples=30)
@given(arrays(np.uint8, st.tuples(st.integers(1, 3), st.just(8), st.just(8), st.just(4))))
def test_nothing_happens_to_native_sprites_by_default(images: Pixels) -> None:
    images[..., 3] = np.where(images[..., 3] >= 128, 255, 0)
    done = Finisher(FinishConfig(), native_size_px=8)(images)
    for one, native in zip(done, images, strict=True):
        assert np.array_equal(one.pixels, native)
        assert one.record["verdict"]["passes"]


def test_rgb_stays_rgb(opaque: Pixels) -> None:
    for one, native in zip(
        Finisher(FinishConfig(), native_size_px=32)(opaque), opaque, strict=True
    ):
        assert np.array_equal(one.pixels, native)
    cfg = FinishConfig(background=BackgroundConfig(enabled=True))
    assert all(one.pixels.shape[2] == 4 for one in Finisher(cfg, native_size_px=32)(opaque))


@pytest.mark.parametrize(
    "dither", [DitherName.bayer8, DitherName.floyd_steinberg, DitherName.atkinson]
)
def test_an_image_does_not_depend_on_its_batch(
    opaque: Pixels, enlarge: Callable[..., Pixels], dither: DitherName
) -> None:
    # Some are given at other grids, so that sizes differ after the first step.
    big = np.stack([enlarge(native, 6.5) for native in opaque])
    big[1], big[4] = enlarge(opaque[1], 13.0)[:208, :208], big[4, ::-1]
    finisher = Finisher(everything(dither=DitherConfig(name=dither)), native_size_px=None)
    together = finisher(big)
    backwards = finisher(big[::-1])[::-1]
    for number, one in enumerate(together):
        (alone,) = finisher(big[number : number + 1])
        for other in (alone, backwards[number]):
            assert np.array_equal(one.pixels, other.pixels)
            assert one.record == other.record
    assert len({one.pixels.shape for one in together}) > 1


def test_a_recipe_makes_the_same_again(
    tmp_path: Path, opaque: Pixels, enlarge: Callable[..., Pixels]
) -> None:
    file = tmp_path / "own.gpl"
    write_palette(file, np.unique(opaque[6].reshape(-1, 3), axis=0), name="own")
    cfg = everything(palette=PaletteConfig(name=PaletteName.file, path=file))
    finisher = Finisher(cfg, native_size_px=32)
    recipe = json.loads(json.dumps(finisher.recipe(), allow_nan=False))
    file.unlink()
    again = Finisher.from_recipe(recipe)
    assert again.recipe() == recipe
    big = np.stack([enlarge(native, 8) for native in opaque])
    for one, other in zip(finisher(big), again(big), strict=True):
        assert np.array_equal(one.pixels, other.pixels)
        assert one.record == other.record


def test_a_forged_recipe_is_refused() -> None:
    cfg = FinishConfig(palette=PaletteConfig(name=PaletteName.gameboy))
    recipe = Finisher(cfg, native_size_px=32).recipe()
    recipe["palette"]["colours"][0] = "ffffff"
    with pytest.raises(InputError, match="sha256"):
        Finisher.from_recipe(recipe)
    with pytest.raises(InputError, match="format"):
        Finisher.from_recipe(recipe | {"format": "another"})
    with pytest.raises(InputError, match=r"finish\.grid\.enabeld"):
        from_options({"grid": {"enabeld": True}})
    with pytest.raises(InputError, match=r"finish\.dither\.name"):
        from_options({"dither": {"name": "rainbow"}})


def test_options_come_back() -> None:
    cfg = everything(verdict=VerdictConfig(max_colours=9))
    assert from_options(json.loads(json.dumps(options(cfg)))) == cfg


def test_records_are_json(opaque: Pixels, enlarge: Callable[..., Pixels]) -> None:
    big = np.stack([enlarge(native, 7.3) for native in opaque])
    for one in Finisher(everything(), native_size_px=32)(big):
        assert json.loads(json.dumps(one.record, allow_nan=False)) == one.record
        checks = {name: c for name, c in one.record["verdict"].items() if name != "passes"}
        assert one.record["verdict"]["passes"] == all(c["passes"] for c in checks.values())


def test_each_check_can_fail(opaque: Pixels) -> None:
    soft = np.concatenate([opaque[:1], np.full_like(opaque[:1, ..., :1], 90)], axis=3)
    cfg = FinishConfig(
        seams=SeamConfig(check=True, max_score=0.0), verdict=VerdictConfig(max_colours=1)
    )
    cfg.alpha.enabled = False
    (one,) = Finisher(cfg, native_size_px=16)(soft)
    for check in ("native_size", "colours", "hard_alpha", "seams"):
        assert not one.record["verdict"][check]["passes"], check


def test_an_invisible_image_passes_through_every_step() -> None:
    nothing = np.zeros((2, 32, 32, 4), dtype=np.uint8)
    for one in Finisher(everything(), native_size_px=32)(nothing):
        assert not one.pixels.any()
        assert one.record["palette"]["num_colours"] == 0
    locked = PaletteConfig(name=PaletteName.kmeans, lock=True)
    for one in Finisher(everything(palette=locked), native_size_px=32)(nothing):
        assert not one.pixels.any()


def test_an_empty_batch_gives_nothing() -> None:
    assert Finisher(everything(), native_size_px=32)(np.zeros((0, 32, 32, 4), dtype=np.uint8)) == []


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: GridConfig(min_contrast=2.0), r"finish\.grid\.min_contrast"),
        (lambda: PaletteConfig(name=PaletteName.file), r"finish\.palette\.path"),
        (lambda: PaletteConfig(path=Path("a.gpl")), r"finish\.palette\.path"),
        (lambda: PaletteConfig(name=PaletteName.db16, lock=True), r"finish\.palette\.lock"),
        (lambda: PaletteConfig(num_colours=0), r"finish\.palette\.num_colours"),
        (
            lambda: FinishConfig(dither=DitherConfig(name=DitherName.bayer2)),
            r"finish\.dither\.name",
        ),
        (lambda: SeamConfig(band=0.9), r"finish\.seams\.band"),
        (lambda: VerdictConfig(max_colours=0), r"finish\.verdict\.max_colours"),
    ],
)
def test_settings_that_make_no_sense_are_named(make: Callable[[], object], key: str) -> None:
    with pytest.raises(ValueError, match=key):
        make()
