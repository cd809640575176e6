import pytest

from eval.kept import keep_reference
from pipeline.core.errors import InputError


def test_a_run_whose_picture_is_gone_is_not_kept_by_half(tmp_path, drawn_run):
    drawn_run(tmp_path / "run")
    (tmp_path / "run" / "images" / "000000001.png").unlink()
    with pytest.raises(InputError, match=r"000000001\.png"):
        keep_reference(tmp_path / "run", tmp_path / "kept" / "reference", name="base")
    assert list((tmp_path / "kept").iterdir()) == []


def test_only_pictures_of_the_table_are_kept_with_their_prompts(tmp_path, drawn_run):
    drawn_run(tmp_path / "run")
    (tmp_path / "run" / "images" / "stray.png").write_bytes(b"")
    told = keep_reference(tmp_path / "run", tmp_path / "reference", name="base")
    assert told["num_images"] == 3
    names = {file.name for file in (tmp_path / "reference").iterdir()}
    assert names == {"000000000.png", "000000001.png", "000000002.png", "index.json"}
    assert '"prompt": "thing 2"' in (tmp_path / "reference" / "index.json").read_text()
