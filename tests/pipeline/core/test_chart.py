from PIL import Image

from pipeline.core.chart import new_chart, save_chart


def draw(path):
    figure, (left, right) = new_chart(title="Speed", x="size (B)", y="GB/s", num_panels=2)
    left.plot([1, 2, 3], [3, 1, 2])
    right.plot([1, 2, 3], [1, 2, 3])
    save_chart(figure, path)


def test_a_chart_is_a_picture_and_the_same_twice(tmp_path):
    draw(tmp_path / "a.png")
    draw(tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as image:
        assert image.width > image.height
        assert len(image.convert("RGB").getcolors(1 << 20) or []) > 10
