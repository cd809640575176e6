import numpy as np
import pytest

from eval.pixels.batch import Batch
from eval.pixels.colours import measure_colours
from pipeline.pixels.oklab import from_oklab
from pipeline.pixels.verdict import visible_colours


def of(image: np.ndarray) -> dict[str, float]:  # type: ignore[type-arg]
    return {name: float(values[0]) for name, values in measure_colours(Batch.of([image])).items()}


def columns(*colours: tuple[int, int, int]) -> np.ndarray:  # type: ignore[type-arg]
    """One opaque column a colour, eight rows."""
    row = np.array([(*colour, 255) for colour in colours], dtype=np.uint8)
    return np.repeat(row[None], 8, axis=0)


BLACK, WHITE = (0, 0, 0), (255, 255, 255)
GREY = tuple(int(v) for v in from_oklab(np.array([0.5, 0.0, 0.0])))


def test_colours_are_counted_as_the_verdict_counts(sprites: list[np.ndarray]) -> None:  # type: ignore[type-arg]
    counted = measure_colours(Batch.of(sprites))["num_colours"]
    assert counted.tolist() == [visible_colours(sprite) for sprite in sprites]


def test_hidden_colours_do_not_count() -> None:
    image = columns(BLACK, WHITE, *[(i, 0, 9) for i in range(6)])
    assert of(image)["num_colours"] == 8
    image[:, 1:, 3] = 0
    assert of(image)["num_colours"] == 1
    image[..., 3] = 0
    assert of(image)["num_colours"] == 0


def test_a_column_half_way_between_two_is_anti_aliased() -> None:
    hard = columns(*[BLACK] * 4, *[WHITE] * 4)
    soft = columns(*[BLACK] * 4, GREY, *[WHITE] * 3)  # type: ignore[arg-type]
    assert of(hard)["antialiased_share"] == 0.0
    assert of(soft)["antialiased_share"] == pytest.approx(1 / 8)
    assert of(soft.transpose(1, 0, 2))["antialiased_share"] == pytest.approx(1 / 8)


def test_what_is_not_between_its_neighbours_is_no_anti_aliasing() -> None:
    line = columns(*[BLACK] * 4, (255, 0, 0), *[WHITE] * 3)
    assert of(line)["antialiased_share"] == 0.0, "red lies aside of the way from black to white"
    dither = columns(*[BLACK, WHITE] * 4)
    assert of(dither)["antialiased_share"] == 0.0


def test_alpha_is_hard_where_it_is_not_soft() -> None:
    image = columns(*[BLACK] * 8)
    assert of(image)["alpha_hardness_share"] == 1.0
    image[:, 2:6, 3] = (0, 0, 1, 254)
    assert of(image)["alpha_hardness_share"] == pytest.approx(4 / 6)


def test_an_empty_picture_has_no_shares() -> None:
    found = of(np.zeros((8, 8, 4), dtype=np.uint8))
    assert np.isnan([found["antialiased_share"], found["alpha_hardness_share"]]).all()
