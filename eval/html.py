"""What HTML pages share that need nothing beside them: figures as text, pictures in the page."""

import base64
from collections.abc import Mapping
from typing import Any

import jinja2

from eval.told import Interval


def page_environment(*, undefined: type[jinja2.Undefined]) -> jinja2.Environment:
    """Return what makes templates: they escape what they are given, and have filters from here.

    ``png``: bytes as an address; ``figure``: any value; ``span``: a figure with its interval.

    Args:
        undefined: What a name without a value is.
    """
    environment = jinja2.Environment(autoescape=True, undefined=undefined)
    environment.filters |= {"png": png_url, "figure": figure_text, "span": span_text}
    return environment


def png_url(png: bytes) -> str:
    """Return the picture as an address that holds all of it; empty: there is none."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}" if png else ""


def figure_text(value: Any) -> str:
    """Return a figure in four digits, others as they are, a dash where there is nothing."""
    if value is None or isinstance(value, jinja2.Undefined):
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def span_text(told: Interval | Mapping[str, float | None] | None) -> str:
    """Return a figure and its interval, such as ``0.5 (0.4 to 0.6)``; also as a record has it."""
    each = Interval(**told) if isinstance(told, Mapping) else told
    if each is None or each.value is None:
        return "-"
    if each.low is None or each.high is None:
        return figure_text(each.value)
    return f"{each.value:.4g} ({each.low:.4g} to {each.high:.4g})"
