import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.core.sheet import GAP_PX, contact_sheet, repeat


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 4), dtype=np.uint8)
    pixels[..., 3] = 255
    return Image.fromarray(pixels)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 4))
def test_a_repeated_image_is_itself_everywhere(width: int, height: int, times: int) -> None:
    image = picture(width, height)
    out = np.asarray(repeat(image, times))
    assert out.shape == (height * times, width * times, 4)
    assert (out == np.tile(np.asarray(image), (times, times, 1))).all()


@given(st.integers(1, 7), st.integers(1, 5), st.integers(1, 3))
def test_a_sheet_shows_every_pixel_enlarged(count: int, columns: int, enlarge: int) -> None:
    images = [picture(3, 2, seed) for seed in range(count)]
    sheet = np.asarray(contact_sheet(images, columns=columns, enlarge=enlarge))
    columns = min(columns, count)
    for position, image in enumerate(images):
        row, column = divmod(position, columns)
        left, top = column * (3 * enlarge + GAP_PX) + GAP_PX, row * (2 * enlarge + GAP_PX) + GAP_PX
        cell = sheet[top : top + 2 * enlarge, left : left + 3 * enlarge]
        wanted = np.asarray(image)[..., :3].repeat(enlarge, 0).repeat(enlarge, 1)
        assert (cell == wanted).all()
