from io import BytesIO
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.core.errors import InputError
from pipeline.core.world import World
from pipeline.data.batch import Batch
from pipeline.data.conf import Background, DataConfig, MoreData
from pipeline.data.dataset import Dataset, Split
from pipeline.data.hue import turn_hues
from pipeline.data.loader import Loader
from pipeline.data.mixture import join_sets
from pipeline.data.recolour import recoloured_caption, turned_caption


def loader(data: Path, **changes: object) -> tuple[Loader, Split]:
    cfg = DataConfig(path=data, **changes)  # type: ignore[arg-type]
    dataset = Dataset.open(data)
    split = dataset.split("train")
    made = Loader(
        split,
        cfg,
        size_px=dataset.size_px,
        flip_ok=dataset.flip_ok,
        run_seed=3,
        device="cpu",
        num_threads=1,
    )
    return made, split


def batches(
    data: Path, count: int, *, world: World | None = None, **changes: object
) -> list[Batch]:
    made, _ = loader(data, **changes)
    stream = made.stream(0, batch_size=12, num_accumulation_steps=1, world=world or World())
    return list(islice(stream, count))


def expected(made: Loader, split: Split, index: int) -> np.ndarray:  # type: ignore[type-arg]
    """What Pillow and numpy make of a position, in the same order of float32 operations."""
    draw = made.order.draw(index)
    image = Image.open(BytesIO(split.png_bytes(draw.sample_id)))
    assert image.mode == "RGBA"
    if draw.is_flipped:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    scale = made.cfg.pixel_scale
    size = (image.width * scale, image.height * scale)
    pixels = np.asarray(image.resize(size, Image.Resampling.NEAREST)).astype(np.float32)
    f = np.float32
    colour, alpha = pixels[..., list(draw.channels)], pixels[..., 3:]
    if made.cfg.background is Background.keep:
        out = np.concatenate(
            [(colour / f(127.5) - f(1)) * (alpha / f(255)), alpha / f(127.5) - f(1)], axis=2
        )
    else:
        rgb = (
            draw.background_rgb
            if made.cfg.background is Background.random
            else made.cfg.background_rgb
        )
        share = alpha / f(255)
        out = (colour * share + np.array(rgb, dtype=f) * (f(1) - share)) / f(127.5) - f(1)
    return out.transpose(2, 0, 1)


@pytest.mark.parametrize("recolour", [0.0, 0.5])
@pytest.mark.parametrize("cache_gib", [0.0, 1.0])
@pytest.mark.parametrize("scale", [1, 4])
@pytest.mark.parametrize("background", list(Background))
def test_pixels_equal_pillows_bit_for_bit(
    smoke_data: Path, background: Background, scale: int, cache_gib: float, recolour: float
) -> None:
    changes = {
        "background": background, "pixel_scale": scale, "cache_gib": cache_gib,
        "recolour": recolour,
    }  # fmt: skip
    made, split = loader(smoke_data, **changes)
    for batch in batches(smoke_data, 3, **changes):
        for row, index in zip(batch.pixels_BCHW.numpy(), batch.indices, strict=True):
            np.testing.assert_array_equal(row, expected(made, split, index))


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("background", list(Background))
def test_opacity_comes_beside_the_same_pixels(
    smoke_data: Path, background: Background, scale: int
) -> None:
    changes = {"background": background, "pixel_scale": scale}
    made, split = loader(smoke_data, **changes)
    plain = next(made.stream(0, batch_size=12, num_accumulation_steps=1, world=World()))
    assert plain.alpha_B1HW is None
    made.with_alpha = True
    batch = next(made.stream(0, batch_size=12, num_accumulation_steps=1, world=World()))
    assert torch.equal(batch.pixels_BCHW, plain.pixels_BCHW)
    assert batch.alpha_B1HW is not None
    for row, index in zip(batch.alpha_B1HW.numpy(), batch.indices, strict=True):
        draw = made.order.draw(index)
        alpha = np.asarray(Image.open(BytesIO(split.png_bytes(draw.sample_id))))[..., 3] / 255
        alpha = alpha[:, ::-1] if draw.is_flipped else alpha
        grown = alpha.repeat(scale, axis=0).repeat(scale, axis=1)
        np.testing.assert_allclose(row[0], grown, atol=1e-6)


@pytest.mark.parametrize("cache_gib", [0.0, 1.0])
@pytest.mark.parametrize("background", [Background.keep, Background.solid])
def test_turned_hues_come_with_their_captions(
    smoke_data: Path, background: Background, cache_gib: float
) -> None:
    changes = {
        "background": background, "cache_gib": cache_gib, "hue": 0.5, "recolour_word": "turned",
        "flip": False, "caption_dropout": 0.2, "background_rgb": [9, 9, 9],
    }  # fmt: skip
    made, split = loader(smoke_data, **changes)
    f, count = np.float32, 0
    for batch in batches(smoke_data, 4, **changes):
        for row, index in enumerate(batch.indices):
            draw = made.order.draw(index)
            rgba = np.asarray(Image.open(BytesIO(split.png_bytes(draw.sample_id))))
            told = split.captions[draw.sample_id] if draw.has_caption else ""
            if draw.turns_hue:
                turned = turn_hues(rgba, run_seed=3, index=index)
                if not np.array_equal(turned, rgba):
                    rgba, told = turned, turned_caption(told, word="turned")
                    count += 1
            assert batch.captions[row] == told
            colour, alpha = rgba[..., :3].astype(f), rgba[..., 3:].astype(f)
            if background is Background.keep:
                expected = np.concatenate(
                    [(colour / f(127.5) - f(1)) * (alpha / f(255)), alpha / f(127.5) - f(1)], axis=2
                )
            else:
                share = alpha / f(255)
                expected = (colour * share + f(9) * (f(1) - share)) / f(127.5) - f(1)
            np.testing.assert_array_equal(
                batch.pixels_BCHW[row].numpy(), expected.transpose(2, 0, 1)
            )
    assert 8 < count < 30


def test_a_turned_caption_names_no_colour() -> None:
    assert turned_caption("ruby potion, dark-red cap", word="turned") == "potion, cap turned"
    assert turned_caption("Red Blue", word="") == ""


def test_tags_change_places_and_the_first_stay(smoke_data: Path) -> None:
    made, split = loader(smoke_data, shuffle_tags=True, keep_tags=1, caption_dropout=0.0)
    split.captions[:] = ["a, b ,c, d"] * len(split)
    stream = made.stream(0, batch_size=12, num_accumulation_steps=1, world=World())
    captions = [caption for batch in islice(stream, 4) for caption in batch.captions]
    assert {tuple(sorted(c.split(", "))) for c in captions} == {("a", "b", "c", "d")}
    assert {c[0] for c in captions} == {"a"}
    assert len(set(captions)) == 6
    again = made.stream(12, batch_size=12, num_accumulation_steps=1, world=World(world_size=2))
    assert next(again).captions == captions[12:18]
    assert made.fixed([0]).captions == ["a, b ,c, d"]


def test_several_sets_bring_their_triggers_and_weights(smoke_data: Path) -> None:
    more = MoreData(path=smoke_data, weight=1, trigger="prior", loss_weight=0.25)
    cfg = DataConfig(path=smoke_data, weight=2, more=[more], trigger="mine", caption_dropout=0.0)
    split, parts, _ = join_sets(cfg, Dataset.open(smoke_data))

    def stream(world_size: int) -> dict[int, tuple[str, float]]:
        found = {}
        for rank in range(world_size):
            made = Loader(
                split, cfg, size_px=32, flip_ok=True, run_seed=3, device="cpu", num_threads=1,
                parts=parts,
            )  # fmt: skip
            world = World(rank=rank, world_size=world_size)
            source = made.stream(0, batch_size=12, num_accumulation_steps=1, world=world)
            for batch in islice(source, 3):
                assert batch.loss_weights is not None
                told = zip(batch.captions, batch.loss_weights, strict=True)
                found |= dict(zip(batch.indices, told, strict=True))
        return found

    one = stream(1)
    assert one == stream(2)
    assert sum(weight == 0.25 for _, weight in one.values()) == 12
    for caption, weight in one.values():
        assert caption.startswith("prior" if weight == 0.25 else "mine")


def test_recoloured_samples_say_so(smoke_data: Path) -> None:
    changes = {"recolour": 0.5, "recolour_word": "swapped", "caption_dropout": 0.3}
    made, split = loader(smoke_data, **changes)
    count = 0
    for batch in batches(smoke_data, 8, **changes):
        for index, sample, caption in zip(
            batch.indices, batch.sample_ids, batch.captions, strict=True
        ):
            changed = made.order.draw(index).is_recoloured
            count += changed
            draw = made.order.draw(index)
            told = recoloured_caption(split.captions[sample], draw.channels, word="swapped")
            assert caption in ("", told if changed else split.captions[sample])
            assert not changed or caption
    assert 20 < count < 50


def test_any_number_of_ranks_sees_the_same_stream(smoke_data: Path) -> None:
    def stream(world_size: int) -> dict[int, tuple[int, str, bytes]]:
        found = {}
        for rank in range(world_size):
            world = World(rank=rank, world_size=world_size)
            for batch in batches(smoke_data, 4, world=world):
                for i, index in enumerate(batch.indices):
                    pixels = batch.pixels_BCHW[i].numpy().tobytes()
                    found[index] = (batch.sample_ids[i], batch.captions[i], pixels)
        return found

    straight = stream(1)
    assert set(straight) == set(range(48))
    assert straight == stream(2) == stream(3)


def test_a_restart_goes_on_in_the_same_stream(smoke_data: Path) -> None:
    made, _ = loader(smoke_data)
    first = batches(smoke_data, 5)[3:]
    again = islice(made.stream(36, batch_size=12, num_accumulation_steps=1, world=World()), 2)
    for left, right in zip(first, again, strict=True):
        assert left.indices == right.indices
        assert left.captions == right.captions
        assert torch.equal(left.pixels_BCHW, right.pixels_BCHW)


def test_batches_keep_their_pixels(smoke_data: Path) -> None:
    made, _ = loader(smoke_data)
    stream = made.stream(0, batch_size=12, num_accumulation_steps=1, world=World())
    first = next(stream)
    kept = first.pixels_BCHW.clone()
    list(islice(stream, 5))
    assert torch.equal(first.pixels_BCHW, kept)


def test_fixed_images_are_not_changed_and_come_in_any_count(smoke_data: Path) -> None:
    made, split = loader(smoke_data)
    for ids in ([0, 1, 2, 3], [5], [2, 3], [0, 1, 2, 3]):
        batch = made.fixed(ids)
        assert batch.captions == [split.captions[i] for i in ids]
        for row, i in zip(batch.pixels_BCHW.numpy(), ids, strict=True):
            rgba = np.asarray(Image.open(BytesIO(split.png_bytes(i)))).astype(np.float32)
            np.testing.assert_array_equal(row[3], rgba[..., 3] / np.float32(127.5) - 1)


def test_the_trigger_stands_before_captions_but_not_before_none(smoke_data: Path) -> None:
    captions = [
        c
        for b in batches(smoke_data, 4, trigger="mystyle", caption_dropout=0.5)
        for c in b.captions
    ]
    assert "" in captions
    assert all(c == "" or c.startswith("mystyle ") for c in captions)


def cut_in_mid_line(data: Path) -> None:
    index = data / "train-000000.idx"
    index.write_text(index.read_text()[:-20])


@pytest.mark.parametrize(
    ("breaks", "word"),
    [
        (lambda d: (d / "dataset.json").unlink(), "jobs.prepare"),
        (lambda d: (d / "dataset.json").write_text("{"), "not valid JSON"),
        (lambda d: (d / "train-000000.tar").unlink(), "the card says"),
        (lambda d: (d / "train-000000.tar").write_bytes(bytes(512)), "the card says"),
        (lambda d: (d / "train-000000.idx").unlink(), "cannot be read"),
        (lambda d: (d / "train-000000.idx").write_text("v1.2 3\n"), "does not list"),
        (cut_in_mid_line, "is no line of an index"),
    ],
)
def test_a_broken_data_set_is_named(smoke_data: Path, tmp_path: Path, breaks, word: str) -> None:  # type: ignore[no-untyped-def]
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(smoke_data, copy)
    breaks(copy)
    with pytest.raises(InputError, match=word) as refused:
        Dataset.open(copy).split("train")
    assert "\n" not in str(refused.value)


def test_an_index_of_another_shard_is_refused(smoke_data: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(smoke_data, copy)
    index = copy / "train-000000.idx"
    head, *lines = index.read_text().splitlines()
    fields = lines[0].split()
    fields[1] = str(int(fields[1]) + 512)
    index.write_text("\n".join([head, " ".join(fields), *lines[1:]]) + "\n")
    with pytest.raises(InputError, match="no PNG at that place"):
        Dataset.open(copy).split("train")
