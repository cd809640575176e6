"""Panels of the review on W&B: what ``jobs.runtime.trackers`` logs, by the names it has there.

Which metrics and benches there are is taken from the runs here; W&B fills the panels as runs come.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import wandb_workspaces.reports.v2 as wr

from jobs.records.runs import Run
from jobs.reviews.facts import Bench, Hours, benches, compared, hours_by_job, told_or_listed

STEP = "num_images"
MAX_BARS = 32
"""Bars of a panel: more cannot be told apart."""
TABLES = ("metrics", "gates", "cases")
"""Of an evaluation, which are shown; ``eval.tables`` makes them."""
WIDE, HALF = {"w": 24, "h": 9}, {"w": 12, "h": 8}
"""A report is 24 wide."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What of the runs decides which panels there are."""

    num_runs: int
    statuses: dict[str, int]
    newest: str
    """Day the newest run began, ISO 8601; empty: there is none."""
    metrics: Sequence[str]
    """Of evaluations, as the trackers have them without ``eval/``."""
    tables: Sequence[str]
    """Of evaluations, that have rows."""
    memorised: Sequence[str]
    """Tables of distances to training art."""
    benches: Sequence[Bench]
    hours: Sequence[Hours]
    nccl_charts: Sequence[str]
    """As the trackers have them, of NCCL sweeps; empty: there are none."""


def facts_of(runs: Sequence[Run]) -> Facts:
    """Gather what decides which panels there are; runs with broken records count as runs alone.

    Args:
        runs: Oldest first.
    """
    whole = [run for run in runs if told_or_listed(run, [])]
    reports = [each.report for each in compared(whole)]
    memorised = (name for report in reports for name in report.get("memorisation") or {})
    return Facts(
        num_runs=len(runs),
        statuses=dict(sorted(Counter(run.status for run in runs).items())),
        newest=runs[-1].started[:10] if runs else "",
        metrics=_once(
            judged["info"]["name"]
            for report in reports
            for judged in report["metrics"]
            # What has no value is not logged.
            if (judged["by"].get("run") or {}).get("value") is not None
        ),
        tables=[name for name in TABLES if any(report.get(name) for report in reports)],
        memorised=_once(f"eval/memorisation/{name.replace(' ', '_')}" for name in memorised),
        benches=benches(whole),
        hours=hours_by_job(runs),
        nccl_charts=sorted(
            {
                f"nccl/{path.stem}"
                for run in runs
                if run.job == "nccl"
                for path in run.run_dir.path.glob("sweep-*.png")
            }
        ),
    )


def compared_panel() -> wr.RunComparer:
    """Return a table of what differs between runs."""
    return wr.RunComparer(diff_only="split", layout=wr.Layout(**WIDE))


def speed_panel() -> wr.LinePlot:
    """Return images a second of trainings and generations."""
    return _line("speed/img_per_s")


def media_panel(key: str) -> wr.MediaBrowser:
    """Return the pictures of one key."""
    return wr.MediaBrowser(title=key, media_keys=[key], num_columns=2, layout=wr.Layout(**HALF))


def loss_panels() -> list[Any]:
    """Return what a training is judged by, against images seen."""
    return [_line("train/loss"), _line("validation/loss"), speed_panel()]


def sample_panels() -> list[Any]:
    """Return pictures: grids of trainings, contact sheets of generations."""
    return [media_panel("samples"), media_panel("contact_sheet")]


def evaluation_panels(facts: Facts) -> list[Any]:
    """Return an evaluation's chart, its metrics as bars, its tables, nearness to training art."""
    bars = [_bars(f"eval/{name}", [f"eval/{name}"]) for name in facts.metrics]
    tables = [
        wr.WeavePanelSummaryTable(table_name=f"eval/{name}", layout=wr.Layout(**WIDE))
        for name in facts.tables
    ]
    near = [
        wr.CustomChart(
            query={"summaryTable": {"tableKey": f"{name}/bars_table"}},
            chart_name="wandb/bar/v0",
            chart_fields={"label": "rms_to_nearest_training_picture", "value": "share"},
            chart_strings={"title": name},
            layout=wr.Layout(**HALF),
        )
        for name in facts.memorised
    ]
    return [media_panel("eval/chart"), *tables, *near, *bars]


def bench_panels(group: Sequence[Bench]) -> list[Any]:
    """Return one panel of each unit; rows that several hardwares have stand in it once."""
    by_unit: dict[str, dict[str, None]] = {}
    for each in group:
        for row in each.rows:
            by_unit.setdefault(row["unit"], {})[f"bench/{row['name']}"] = None
    return [
        _bars(f"{group[0].bench} ({unit})", list(keys)[:MAX_BARS]) for unit, keys in by_unit.items()
    ]


def nccl_panels(facts: Facts) -> list[Any]:
    """Return sweeps' charts, and their figures against the size of messages; none without any."""
    if not facts.nccl_charts:
        return []
    told = {"busbw_gb_per_s": "bus bandwidth (GB/s)", "time_us": "time (us)"}
    lines = [
        wr.LinePlot(
            title=title,
            x="nccl/size_bytes",
            log_x=True,
            metric_regex=f"nccl/.*/{key}",
            layout=wr.Layout(**HALF),
        )
        for key, title in told.items()
    ]
    return [*lines, *map(media_panel, facts.nccl_charts)]


def hours_panels() -> list[Any]:
    """Return GPU-hours by kind of job, and by experiment."""
    return [
        wr.BarPlot(
            title=f"GPU-hours by {name}",
            metrics=["gpu_hours"],
            groupby=by,
            groupby_aggfunc="sum",
            layout=wr.Layout(**HALF),
        )
        for name, by in (("job", "JobType"), ("experiment", "Group"))
    ]


def _line(key: str) -> wr.LinePlot:
    return wr.LinePlot(title=key, x=STEP, y=[key], title_x="images", layout=wr.Layout(w=8, h=8))


def _bars(title: str, keys: list[str]) -> wr.BarPlot:
    return wr.BarPlot(
        title=title, metrics=keys, max_bars_to_show=MAX_BARS, layout=wr.Layout(**HALF)
    )


def _once(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
