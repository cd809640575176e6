"""Pages: nothing overlaps, borders are repeated outward, the rest is empty."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import InputError
from pipeline.export.atlas import build_atlas, page_pixels
from pipeline.export.conf import ExportConfig
from pipeline.export.naming import Label
from pipeline.export.packing import MaxRects, pack
from pipeline.export.records import Sprite

SETTINGS = settings(max_examples=40, deadline=None)
SIDES = st.tuples(st.integers(1, 40), st.integers(1, 40))


def sprite(pixels: np.ndarray, index: int = 0) -> Sprite:
    label = Label(category="tile", name="t", variant=index, frame=0, index=index)
    return Sprite(
        name=f"tile_t_{index}_0", label=label, file=f"{index}.png", sha256="", prompt=None,
        pixels_HWC=pixels,
    )  # fmt: skip


@SETTINGS
@given(
    sizes=st.one_of(
        st.lists(SIDES, min_size=1, max_size=40),
        st.builds(lambda size, count: [size] * count, SIDES, st.integers(1, 60)),
    ),
    max_px=st.sampled_from([64, 128, 256]),
    padding_px=st.integers(0, 6),
    pot=st.booleans(),
)
def test_rectangles_keep_their_distance(
    sizes: list[tuple[int, int]], max_px: int, padding_px: int, pot: bool
) -> None:
    packing = pack(sizes, max_px=max_px, padding_px=padding_px, pot=pot)
    assert len(packing.spots) == len(sizes)
    for number, box in enumerate(packing.boxes):
        assert max(box.width_px, box.height_px) <= max_px
        if pot:
            assert box.width_px.bit_count() == box.height_px.bit_count() == 1
        taken = np.zeros((box.height_px + padding_px, box.width_px + padding_px), np.int64)
        on_page = [i for i, spot in enumerate(packing.spots) if spot.page == number]
        assert on_page
        for i in on_page:
            (width, height), spot = sizes[i], packing.spots[i]
            assert spot.x_px >= 0 and spot.x_px + width <= box.width_px
            assert spot.y_px >= 0 and spot.y_px + height <= box.height_px
            # Grown by the padding at two sides, nothing may overlap.
            taken[
                spot.y_px : spot.y_px + height + padding_px,
                spot.x_px : spot.x_px + width + padding_px,
            ] += 1
        assert taken.max() == 1
    assert packing == pack(sizes, max_px=max_px, padding_px=padding_px, pot=pot)


def test_equal_rectangles_stand_in_reading_order() -> None:
    spots = pack([(10, 6)] * 23, max_px=64, padding_px=1, pot=True).spots
    places = [(spot.page, spot.y_px, spot.x_px) for spot in spots]
    assert places == sorted(places)


def test_a_page_is_no_larger_than_needed() -> None:
    assert pack([(16, 16)] * 16, max_px=2048, padding_px=0, pot=True).boxes[0].width_px == 64
    mixed = pack([(32, 32), *[(16, 16)] * 12], max_px=2048, padding_px=0, pot=True)
    assert [(box.width_px, box.height_px) for box in mixed.boxes] == [(64, 64)]
    tight = pack([(20, 10)] * 6, max_px=2048, padding_px=2, pot=False).boxes
    assert [(box.width_px, box.height_px) for box in tight] == [(42, 34)]


def test_free_room_is_all_of_the_page_that_is_not_taken() -> None:
    generator = np.random.default_rng(2)
    room, taken = MaxRects(50, 40), np.zeros((40, 50), bool)
    for width, height in generator.integers(1, 14, (60, 2)).tolist():
        if spot := room.insert(width, height):
            x, y = spot
            assert not taken[y : y + height, x : x + width].any()
            taken[y : y + height, x : x + width] = True
        free = np.zeros_like(taken)
        for x0, y0, x1, y1 in room.free_N4:
            free[y0:y1, x0:x1] = True
        assert np.array_equal(free, ~taken)


@SETTINGS
@given(
    sizes=st.lists(SIDES, min_size=1, max_size=12), seed=st.integers(0, 99),
    padding_px=st.integers(0, 4), extrude_px=st.integers(0, 3), trim=st.booleans(),
)  # fmt: skip
def test_pages_hold_sprites_their_borders_and_nothing_else(
    sizes: list[tuple[int, int]], seed: int, padding_px: int, extrude_px: int, trim: bool
) -> None:
    generator = np.random.default_rng(seed)
    sprites = []
    for i, (width, height) in enumerate(sizes):
        pixels = generator.integers(1, 256, (height, width, 4), dtype=np.uint8)
        pixels[: height // 3, :, 3] = 0
        sprites.append(sprite(pixels, i))
    cfg = ExportConfig(size_px=128, padding_px=padding_px, extrude_px=extrude_px, trim=trim)
    atlas = build_atlas(sprites, cfg)
    for page in range(len(atlas.boxes)):
        pixels = page_pixels(atlas, page)
        explained = np.zeros(pixels.shape[:2], bool)
        for item in atlas.on_page(page):
            for y in range(item.y_px - extrude_px, item.y_px + item.height_px + extrude_px):
                for x in range(item.x_px - extrude_px, item.x_px + item.width_px + extrude_px):
                    inside_y = min(max(y - item.y_px, 0), item.height_px - 1) + item.offset_y_px
                    inside_x = min(max(x - item.x_px, 0), item.width_px - 1) + item.offset_x_px
                    assert (pixels[y, x] == item.sprite.pixels_HWC[inside_y, inside_x]).all()
                    assert not explained[y, x]
                    explained[y, x] = True
        assert not pixels[~explained].any()


def test_a_sprite_that_fills_the_page_fits_and_a_larger_one_is_named() -> None:
    whole = sprite(np.ones((62, 62, 4), np.uint8))
    assert build_atlas([whole], ExportConfig(size_px=64)).boxes[0].width_px == 64
    larger = sprite(np.ones((63, 63, 4), np.uint8), 7)
    with pytest.raises(InputError, match=r"7\.png.*size_px is 64"):
        build_atlas([whole, larger], ExportConfig(size_px=64))


@pytest.mark.parametrize(
    ("wrong", "key"),
    [
        ({"size_px": 100}, "size_px"), ({"size_px": 0}, "size_px"), ({"padding_px": -1}, "padding"),
        ({"extrude_px": 300}, "extrude_px"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_are_named(wrong: dict[str, int], key: str) -> None:
    with pytest.raises(ValueError, match=key):
        ExportConfig(**wrong)
