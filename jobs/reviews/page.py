"""The review as one HTML page that needs nothing beside it."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import jinja2

from eval.html import page_environment
from jobs.records.runs import Run
from jobs.reviews.charts import MAX_CURVES, hours_chart, loss_chart, with_loss
from jobs.reviews.facts import (
    benches,
    compared,
    figures_of,
    hours_by_job,
    hours_by_week,
    newest_samples,
    told_or_listed,
)
from jobs.reviews.places import placed

TEMPLATE = Path(__file__).parent / "assets" / "review.html.j2"
MAX_SHEETS = 8
"""Sheets of pictures on the page."""


def review_page(
    runs: Sequence[Run],
    *,
    title: str,
    roots: Sequence[Path],
    broken: Sequence[str] = (),
    max_rows: int,
) -> str:
    """Return the page; the same runs give the same bytes.

    Args:
        runs: Oldest first.
        title: Of the page.
        roots: Folders of all runs: what is in one is told by its place there, no other place is.
        broken: A line for each run folder that could not be read.
        max_rows: Rows in the table of runs; the newest are kept.
    """
    lost = list(broken)
    whole = [run for run in runs if told_or_listed(run, lost)]
    environment = page_environment(undefined=jinja2.StrictUndefined)
    environment.filters |= {"figures": figures_of, "placed": partial(placed, roots=roots)}
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    newest = list(reversed(runs))
    page: str = template.render(
        title=title,
        runs=newest[:max_rows],
        num_runs=len(runs),
        statuses=Counter(run.status for run in runs),
        span=(runs[0].started, runs[-1].started) if runs else ("", ""),
        max_curves=MAX_CURVES,
        loss=loss_chart(with_loss(runs, lost)),
        sheets=newest_samples(newest)[:MAX_SHEETS],
        compared=compared(whole),
        benches=benches(whole),
        hours=hours_by_job(runs),
        hours_chart=hours_chart(hours_by_week(runs)),
        broken=lost,
    )
    return page
