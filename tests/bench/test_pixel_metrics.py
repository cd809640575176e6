from bench.pixel_metrics import measured, pictures


def test_every_metric_is_timed() -> None:
    images = pictures(300)
    assert len({image.tobytes() for image in images}) > 150
    found = measured(images)
    assert "all of these" in found
    assert all(told["images_per_s"] > 0 for told in found.values())
