"""Is this LoRA better, and is it pixel art?

python -m jobs.evaluate run=LORA_RUN base=BASE_RUN art=data/tiles32
python -m jobs.evaluate run=RUN gates.ssim_min=0.85 gates.orphan_share_max=0.02    # 1 when missed
python -m jobs.evaluate rubric=make 'make.runs=[BASE_RUN, LORA_RUN]'
python -m jobs.evaluate rubric=score score.key=rubric.key.json 'score.ratings=[a.json, b.csv]'
"""

import dataclasses
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.conf import EvaluateJob, Rubric
from jobs.runtime.cli import main
from jobs.runtime.context import JobContext
from pipeline.core.errors import CheckError
from pipeline.core.files import write_atomic, write_json
from pipeline.core.outcome import Outcome
from pipeline.core.rundir import RunDir

if TYPE_CHECKING:
    from eval.report import Report

SCHEMA = EvaluateJob

log = logging.getLogger(__name__)


def run(cfg: EvaluateJob, context: JobContext) -> Outcome:
    """Measure, make a page of ratings, or put ratings together."""
    match cfg.rubric:
        case Rubric.make:
            from eval.rubric.page import make

            made = make(cfg.make)
            log.info("page %s (for raters); key %s (not for raters)", made.page, made.key)
            return Outcome(finished=True)
        case Rubric.score:
            from eval.rubric.score import score, told

            for line in told(score(cfg.score)).splitlines():
                log.info("%s", line)
            return Outcome(finished=True)
        case Rubric.none:
            return _measure(cfg, context)


def _measure(cfg: EvaluateJob, context: JobContext) -> Outcome:
    from eval.evaluate import evaluate
    from eval.page import report_chart, report_page

    report = _with_kept(cfg, context.run_dir, evaluate(cfg, device=context.world.device))
    folder = context.run_dir.path
    write_json(folder / "report.json", report.as_json())
    paths = {"reference": cfg.reference, "base": cfg.base, "run": cfg.run}
    sets = {name: path for name, path in paths.items() if path is not None}
    pictures = {name: _pictures(path) for name, path in sets.items()}
    page = report_page(report, title=f"Evaluation {folder.name}", pictures=pictures)
    write_atomic(folder / "report.html", page.encode())
    if chart := report_chart(report):
        write_atomic(folder / "report.png", chart)
    for judged in report.metrics:
        value = judged.by.get("run")
        if value is not None and value.value is not None:
            verdict = f"  {judged.verdict}" if judged.verdict else ""
            log.info(
                "%-28s %10.4g %-8s%s", judged.info.name, value.value, judged.info.unit, verdict
            )
    for each in report.missing:
        log.info("unavailable %s: %s", ", ".join(each.names), each.why)
    for gate in report.gates:
        log.info("gate %s: %s", gate.name, gate.why)
    log.info("report %s", folder / "report.html")
    values = {j.info.name: j.by["run"].value for j in report.metrics if "run" in j.by}
    known = {name: value for name, value in values.items() if value is not None}
    context.tracker.log(0, {f"eval/{name}": value for name, value in known.items()})
    _mirror(report, context, sets)
    if not report.passes:
        missed = "; ".join(gate.why for gate in report.gates if not gate.passes)
        raise CheckError(f"gates: {missed}; {folder / 'report.html'} says more")
    return Outcome(finished=True, figures=dict(known))


def _with_kept(cfg: EvaluateJob, run_dir: RunDir, report: "Report") -> "Report":
    """Keep what the sets were held against: pictures as they are, art by its identity."""
    from eval.kept import art_identity, keep_reference

    held, name = (cfg.reference, "reference") if cfg.reference else (cfg.base, "base")
    return dataclasses.replace(
        report,
        reference=keep_reference(held, run_dir.reference, name=name) if held else {},
        art=art_identity(cfg.art) if cfg.art else {},
    )


def _mirror(report: "Report", context: JobContext, sets: Mapping[str, Path]) -> None:
    """Give the trackers the whole report: tables with pictures, the chart, the files."""
    from eval.tables import report_tables

    folder, tracker = context.run_dir.path, context.tracker
    for name, table in report_tables(report, pictures=sets).items():
        tracker.log_table(0, f"eval/{name}", table)
    files = [folder / f"report.{end}" for end in ("html", "json", "png")]
    if files[-1].is_file():
        tracker.log_image(0, "eval/chart", files[-1])
    tracker.log_files("evaluation", [file for file in files if file.is_file()])


def _pictures(path: Path) -> Path:
    images = RunDir(path).images
    return images if images.is_dir() else path


if __name__ == "__main__":
    sys.exit(main("evaluate", SCHEMA))
