from pathlib import Path

import pytest

from jobs.records.curves import last_position, read_curve
from pipeline.core.errors import InputError


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ('{"num_images": 8}\n{"num_images": 16}\n{"num_im', 16),
        ('{"num_images": 8}\n', 8),
        ("", None),
        ("{}\n", None),
        ("no json\n", None),
    ],
)
def test_the_last_whole_row_says_how_far_a_run_came(
    tmp_path: Path, text: str, position: int | None
) -> None:
    (tmp_path / "metrics.jsonl").write_text(text)
    assert last_position(tmp_path / "metrics.jsonl") == position


def test_what_is_no_number_is_no_point(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    rows = [
        '{"num_images": 8, "loss": 0.5}', '{"num_images": "many", "loss": 0.5}',
        '{"num_images": 16, "loss": NaN}', '{"num_images": 24, "loss": true}',
        '{"num_images": 1e999, "loss": 1}', '{"num_images": 32, "loss": 1}', '{"num_ima',
    ]  # fmt: skip
    path.write_text("\n".join(rows))
    assert read_curve(path, "loss") == ([8, 32], [0.5, 1.0])


@pytest.mark.parametrize("text", ["no json\n", "[1]\n", "\x00\n"])
def test_a_broken_line_is_named_with_its_number(tmp_path: Path, text: str) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"num_images": 8, "loss": 1}\n' + text)
    with pytest.raises(InputError, match=r"metrics\.jsonl:2"):
        read_curve(path, "loss")
