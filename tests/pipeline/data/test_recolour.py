import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.recolour import AS_THEY_ARE, MIXTURES, RECOLOURINGS, recoloured_caption

RGB = {
    "red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "yellow": (255, 255, 0),
    "cyan": (0, 255, 255), "magenta": (255, 0, 255), "purple": (255, 0, 255),
}  # fmt: skip


@pytest.mark.parametrize("channels", RECOLOURINGS)
@pytest.mark.parametrize("colour", MIXTURES)
def test_the_new_word_names_the_new_pixels(colour: str, channels: tuple[int, int, int]) -> None:
    before = RGB[colour]
    after = tuple(before[stored] for stored in channels)
    (new,) = recoloured_caption(colour, channels, word="recoloured").split()
    assert RGB[new] == after


@given(st.lists(st.sampled_from([*MIXTURES, "orc", "golden"]), min_size=1, max_size=5))
def test_as_they_are_keeps_every_colour(words: list[str]) -> None:
    told = recoloured_caption(" ".join(words), AS_THEY_ARE, word="").split()
    assert [RGB.get(w, w) for w in told] == [RGB.get(w, w) for w in words]


@pytest.mark.parametrize(
    ("caption", "told"),
    [
        ("red potion", "green potion"),
        ("orc knight", "orc knight changed"),
        ("ruby potion", "ruby potion changed"),
        ("Blue knight, red cape", "blue knight, green cape"),
        ("redwood staff", "redwood staff changed"),
        ("golden red robe", "golden green robe changed"),
    ],
)
def test_what_renaming_does_not_tell_a_word_does(caption: str, told: str) -> None:
    assert recoloured_caption(caption, (1, 0, 2), word="changed") == told
