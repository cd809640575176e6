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
    found = compared(pictures(8))
    assert {"tile_text", "features of set metrics", "kid_lite0"} <= set(found)
    assert all(told["images_per_s"] > 0 for told in found.values())
    # Eight pictures carry no covariance of 1,280 features.
    assert "fid" in capsys.readouterr().err
