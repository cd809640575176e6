from pathlib import Path

from PIL import Image

from train.samples import join_grid


def draw(folder: Path, index: int) -> None:
    folder.mkdir(exist_ok=True)
    Image.new("RGBA", (8, 8), (index * 40, 0, 0, 255)).save(folder / f"{index:09d}.png")


def test_a_grid_is_joined_once_all_ranks_have_drawn(tmp_path: Path) -> None:
    folder = tmp_path / "000000000016"
    assert join_grid(folder, num_samples=3, columns=2) is None
    draw(folder, 0)
    draw(folder, 2)
    assert join_grid(folder, num_samples=3, columns=2) is None
    draw(folder, 1)
    sheet = join_grid(folder, num_samples=3, columns=2)
    assert sheet == tmp_path / "000000000016.png"
    with Image.open(sheet) as image:
        assert image.width == image.height == 2 * (8 * 4 + 2) + 2


def test_a_run_that_goes_on_from_before_a_grid_finds_it_standing(tmp_path: Path) -> None:
    """Else its end would wait a minute for a grid that is there already."""
    folder = tmp_path / "000000000016"
    draw(folder, 0)
    first = join_grid(folder, num_samples=1, columns=1)
    assert first is not None
    before = first.read_bytes()
    draw(folder, 0)
    assert join_grid(folder, num_samples=1, columns=1) == first
    assert first.read_bytes() == before
