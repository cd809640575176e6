import numpy as np
import pytest
from PIL import Image

from eval.conf import EvaluateConfig
from eval.drawn import read_drawn
from eval.evaluate import evaluate
from eval.frames import animations
from pipeline.core.errors import InputError


def write(folder, names, *, flickers=(), size=(12, 12)):
    """A block that stands still; of names in ``flickers`` every other frame has a hole in it."""
    folder.mkdir()
    for name in names:
        for frame in (0, 1, 2, 10):
            pixels = np.zeros((*size, 4), np.uint8)
            pixels[2:9, 2:9] = [200, 60, 40, 255]
            if name in flickers and frame == 1:
                pixels[4:6, 4:6] = 0
            Image.fromarray(pixels).save(folder / f"{name}_{frame}.png")
    return folder


NAMES = [f"monster_slime_{number}" for number in range(6)]


def test_frames_are_gathered_by_name_in_order_of_their_numbers(tmp_path):
    folder = write(tmp_path / "a", NAMES[:2])
    for name in ("monster_slime_7_0", "monster_slime_7_1", "a hero", "monster_slime_8_0003"):
        Image.new("RGBA", (5, 5)).save(folder / f"{name}.png")
    shade = np.full((12, 12, 4), 255, np.uint8)
    Image.fromarray(shade).save(folder / "monster_slime_0_10.png")
    found = animations(read_drawn(folder, "run"))
    assert sorted(found) == NAMES[:2]
    assert [len(frames) for frames in found.values()] == [4, 4]
    assert (found[NAMES[0]][-1] == shade).all(), "frame 10 follows frame 2"


def test_frames_of_two_sizes_are_refused_by_name(tmp_path):
    folder = write(tmp_path / "a", NAMES[:1])
    Image.new("RGBA", (5, 7)).save(folder / f"{NAMES[0]}_2.png")
    with pytest.raises(InputError, match=r"slime_0_2\.png: 5x7.*12x12"):
        animations(read_drawn(folder, "run"))


def test_what_flickers_more_is_told_worse(tmp_path):
    base = write(tmp_path / "base", NAMES)
    run = write(tmp_path / "run", NAMES, flickers=NAMES[1:])
    report = evaluate(EvaluateConfig(run=run, base=base), device="cpu")
    (flicker,) = [each for each in report.metrics if each.info.name == "flicker_share"]
    assert flicker.by["base"].value == 0
    # 4 of 49 pixels come and go, in one of the four threes in a row of frames that go round.
    assert flicker.by["run"].value == pytest.approx(5 / 6 * 4 / (4 * 49))
    assert flicker.verdict.startswith("worse")


def test_pictures_that_are_no_frames_have_no_flicker(tmp_path):
    folder = tmp_path / "a"
    folder.mkdir()
    for number in range(5):
        Image.new("RGBA", (8, 8), (number, 9, 9, 255)).save(folder / f"{number:09d}.png")
    report = evaluate(EvaluateConfig(run=folder), device="cpu")
    assert "flicker_share" not in {each.info.name for each in report.metrics}
