"""The review as W&B has it: a report and saved views, in the words of ``wandb-workspaces``.

Run sets name what ``jobs.runtime.naming`` writes of a run: its verb as job type, its experiment as
group.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import wandb_workspaces.reports.v2 as wr
import wandb_workspaces.workspaces as ws
from wandb_workspaces import expr

from jobs.reviews.facts import Bench
from jobs.reviews.panels import (
    STEP,
    Facts,
    bench_panels,
    compared_panel,
    evaluation_panels,
    hours_panels,
    loss_panels,
    media_panel,
    nccl_panels,
    sample_panels,
    speed_panel,
)
from jobs.runtime.publish import Project, Saved

BENCH_JOBS = ("bench", "smoke", "nccl")


def project_report(
    project: Project, facts: Facts, *, title: str, views: Sequence[Saved]
) -> wr.Report:
    """Return the project's report, not saved yet.

    Args:
        project: Where it is to be.
        facts: As ``facts_of`` returns them.
        title: By which it is found again.
        views: Linked to.
    """

    def grid(name: str, jobs: Sequence[str], panels: list[Any], group: str = "") -> wr.PanelGrid:
        wanted = f"Metric('JobType') in {list(jobs)!r}" if jobs else ""
        wanted += f" and Metric('Group') == {group!r}" if group else ""
        runs = wr.Runset(entity=project.entity, project=project.name, name=name, filters=wanted)
        return wr.PanelGrid(runsets=[runs], panels=panels, hide_run_sets=False)

    blocks: list[Any] = [
        wr.MarkdownBlock(text=_intro(facts, views)),
        wr.TableOfContents(),
        wr.H2("Runs"),
        grid("runs", (), [compared_panel()]),
        wr.H2("Loss"),
        grid("trainings", ("train",), loss_panels()),
        wr.H2("Samples"),
        grid("trainings and generations", ("train", "generate"), sample_panels()),
        wr.H2("LoRA against base"),
        grid("evaluations", ("evaluate",), evaluation_panels(facts)),
        wr.H2("Benches"),
    ]
    for name, group in _by_group(facts.benches).items():
        blocks += [wr.H3(name), grid(f"bench {name}", ("bench",), bench_panels(group), group=name)]
    if facts.nccl_charts:
        blocks += [wr.H3("nccl"), grid("nccl", ("nccl",), nccl_panels(facts))]
    if not facts.benches and not facts.nccl_charts:
        blocks.append(wr.P("No bench yet."))
    blocks += [
        wr.H2("GPU-hours"),
        wr.MarkdownBlock(text=_hours(facts)),
        grid("all runs", (), hours_panels()),
    ]
    return wr.Report(
        entity=project.entity,
        project=project.name,
        title=title,
        description="Made by jobs.review publish, which puts its blocks anew each time.",
        blocks=blocks,
        width="fluid",
    )


def project_views(project: Project, facts: Facts) -> list[ws.Workspace]:
    """Return the saved views, not saved yet: one of each kind of job, and one of experiments."""
    bench = [panel for each in _by_group(facts.benches).values() for panel in bench_panels(each)]

    def view(
        name: str, jobs: Sequence[str], sections: dict[str, list[Any]], columns: Sequence[str]
    ) -> ws.Workspace:
        return ws.Workspace(
            entity=project.entity,
            project=project.name,
            name=f"DGX-Pixels: {name}",
            sections=[
                ws.Section(name=title, panels=panels, is_open=True)
                for title, panels in sections.items()
                if panels
            ],
            settings=ws.WorkspaceSettings(x_axis=STEP),
            runset_settings=ws.RunsetSettings(
                filters=f"Metric('JobType') in {list(jobs)!r}" if jobs else "",
                groupby=[] if jobs else [expr.Metric("Group"), expr.Metric("JobType")],
                pinned_columns=["run:displayName", "run:state", "run:group", *columns],
            ),
        )

    return [
        view(
            "training",
            ("train",),
            {"Loss": loss_panels(), "Samples": [media_panel("samples")]},
            ("summary:loss", "summary:validation_loss", "summary:rate_img_per_s"),
        ),
        view(
            "generation",
            ("generate",),
            {"Samples": [media_panel("contact_sheet")], "Speed": [speed_panel()]},
            ("summary:num_images", "summary:rate_img_per_s", "summary:num_not_accepted"),
        ),
        view(
            "evaluation",
            ("evaluate",),
            {"LoRA against base": evaluation_panels(facts)},
            [f"summary:eval/{name}" for name in facts.metrics[:6]],
        ),
        view(
            "bench",
            BENCH_JOBS,
            {"Benches": bench, "NCCL": nccl_panels(facts)},
            ("run:jobType", "summary:rate_img_per_s"),
        ),
        view(
            "experiments",
            (),
            {"Loss": loss_panels(), "Samples": sample_panels(), "GPU-hours": hours_panels()},
            ("run:jobType", "summary:gpu_hours"),
        ),
    ]


def _by_group(found: Iterable[Bench]) -> dict[str, list[Bench]]:
    """Sort by the group their runs have on W&B."""
    groups: dict[str, list[Bench]] = {}
    for each in found:
        groups.setdefault(each.name.split("/")[1], []).append(each)
    return groups


def _intro(facts: Facts, views: Sequence[Saved]) -> str:
    statuses = ", ".join(f"{count} {status}" for status, count in facts.statuses.items())
    seen = f"{facts.num_runs} runs when this was put here: {statuses}; newest of {facts.newest}."
    links = "\n".join(f"* [{each.title}]({each.url})" for each in views)
    return f"{seen if facts.num_runs else 'No runs yet.'}\n\n{links}"


def _hours(facts: Facts) -> str:
    rows = [
        f"| {each.job} | {each.num_runs} | {each.num_attempts} | {each.gpu_hours:.4g} | "
        f"{each.num_unknown or '-'} | {f'{each.energy_kwh:.4g}' if each.num_metered else '-'} |"
        for each in facts.hours
    ]
    head = "| job | runs | attempts | GPU-hours | not known | energy (kWh) |"
    lines = [head, "| --- | --- | --- | --- | --- | --- |", *rows]
    return "\n".join(lines) + "\n\nGPUs allocated x time, every attempt, as the run folders tell."
