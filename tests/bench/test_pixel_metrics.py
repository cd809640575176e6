import pytest

from bench.pixel_metrics import compared, measured, pictures


def test_every_metric_is_timed() -> None:
    images = pictures(300)
    assert len({image.tobytes() for image in images}) > 150
    found = measured(images)
    assert "all of these" in found
    assert all(told["images_per_s"] > 0 for told in found.values())


def test_comparisons_are_timed_and_what_is_missing_is_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = compared(pictures(16))
    assert {"tile_text", "features of set metrics"} <= set(found)
    assert all(told["images_per_s"] > 0 for told in found.values())
    # 16 images stand for two prompts of eight frames: too few for the interval of a distance.
    assert "kid_lite0" in capsys.readouterr().err
