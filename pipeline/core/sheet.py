"""Contact sheets: many small images in rows, enlarged by an integer, nearest neighbour."""

from collections.abc import Sequence

from PIL import Image

GROUND = (96, 96, 96, 255)
"""What transparent pixels are shown on: neutral, darker than most art and lighter than outlines."""
GAP_PX = 2


def contact_sheet(images: Sequence[Image.Image], *, columns: int, enlarge: int = 4) -> Image.Image:
    """Lay images out in rows, all cells of the largest image's size.

    Args:
        images: At least one, any mode.
        columns: Images in a row, from 1 up.
        enlarge: Integer factor.

    Returns:
        An RGB picture.
    """
    if not images or columns < 1 or enlarge < 1:
        raise ValueError("a sheet needs images, columns and an enlargement from 1 up")
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    width = max(image.width for image in images) * enlarge + GAP_PX
    height = max(image.height for image in images) * enlarge + GAP_PX
    sheet = Image.new("RGBA", (columns * width + GAP_PX, rows * height + GAP_PX), GROUND)
    for position, image in enumerate(images):
        row, column = divmod(position, columns)
        size = (image.width * enlarge, image.height * enlarge)
        big = image.convert("RGBA").resize(size, Image.Resampling.NEAREST)
        sheet.alpha_composite(big, (column * width + GAP_PX, row * height + GAP_PX))
    return sheet.convert("RGB")


def repeat(image: Image.Image, times: int) -> Image.Image:
    """Lay an image out ``times`` by ``times``, edge to edge: how a tile looks in a map."""
    out = Image.new(image.mode, (image.width * times, image.height * times))
    for row in range(times):
        for column in range(times):
            out.paste(image, (column * image.width, row * image.height))
    return out


def side_by_side(
    left: Sequence[Image.Image], right: Sequence[Image.Image], *, pairs: int = 4, enlarge: int = 4
) -> Image.Image:
    """Lay two equally long series out in pairs: left and right image of each, next to each other.

    Args:
        left: Series shown first in each pair.
        right: Series shown second.
        pairs: Pairs in a row.
        enlarge: Integer factor.
    """
    mixed = [image for pair in zip(left, right, strict=True) for image in pair]
    return contact_sheet(mixed, columns=2 * pairs, enlarge=enlarge)
