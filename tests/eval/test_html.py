"""Figures and pictures as pages have them."""

import jinja2
import pytest

from eval.html import figure_text, page_environment, png_url, span_text
from eval.told import Interval


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (jinja2.Undefined(), "-"),
        (0, "0"),
        (0.123456, "0.1235"),
        (12345678, "12345678"),
    ],
)
def test_a_figure_has_four_digits_and_a_count_all_of_them(value, text):
    assert figure_text(value) == text


@pytest.mark.parametrize(
    ("told", "text"),
    [
        (None, "-"),
        (Interval(value=None), "-"),
        (Interval(value=0.5), "0.5"),
        (Interval(value=0.5, low=0.4, high=0.6), "0.5 (0.4 to 0.6)"),
        ({"value": 0.5, "low": 0.4, "high": 0.6}, "0.5 (0.4 to 0.6)"),
        ({"value": 0.5, "low": 0.4, "high": None}, "0.5"),
    ],
)
def test_an_interval_is_told_where_it_is_known_by_record_or_not(told, text):
    assert span_text(told) == text


def test_what_is_given_is_text_and_a_picture_is_in_the_page():
    template = page_environment(undefined=jinja2.StrictUndefined).from_string(
        '{{ name }} <img src="{{ picture | png }}">'
    )
    page = template.render(name="<b>", picture=b"\x89PNG")
    assert page == '&lt;b&gt; <img src="data:image/png;base64,iVBORw==">'
    assert png_url(b"") == ""
