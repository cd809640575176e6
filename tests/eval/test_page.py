"""What the chart of a report shows, and what it leaves to the table."""

from eval.page import report_chart
from eval.pixel_error import METRICS
from eval.report import Judged, Report
from eval.told import Interval

SETS = {"base": {"num_images": 8}, "run": {"num_images": 8}}


def report(difference: Interval) -> Report:
    by = {"base": Interval(value=0.5, low=0.4, high=0.6), "run": Interval(value=0.7)}
    return Report(
        sets=SETS, metrics=(Judged(info=METRICS[0], by=by, difference=difference, verdict=""),)
    )


def test_a_difference_with_its_interval_is_drawn() -> None:
    near, far = (report(Interval(value=v, low=v - 0.1, high=v + 0.1)) for v in (0.2, 0.9))
    assert report_chart(near)
    assert report_chart(near) != report_chart(far)


def test_a_difference_without_an_interval_is_left_to_the_table() -> None:
    assert report_chart(report(Interval(value=0.2))) == b""
