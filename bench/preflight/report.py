"""What was found, for people and for programs."""

import dataclasses
from pathlib import Path
from typing import Any

from bench.preflight.check import Report
from bench.preflight.finding import Finding, Level, worst
from pipeline.core.files import write_json

FORMAT = "dgx-pixels-preflight/1"
NAME_WIDTH = 18
LEVEL_WIDTH = 8


def table(report: Report, *, host: str) -> str:
    """Return one line a finding, and below one that is not OK what to do."""
    lines = [f"{host}, expected as {report.profile}", ""]
    for finding in report.findings:
        lines.append(_row(finding))
        if finding.todo:
            lines.append(f"{'':{LEVEL_WIDTH + 2 + NAME_WIDTH}}  -> {finding.todo}")
    counts = [f"{sum(f.level is level for f in report.findings)} {level.name}" for level in Level]
    return "\n".join([*lines, "", f"{', '.join(counts)} in {report.elapsed_s:.1f} s"])


def as_json(report: Report, *, host: str, **more: Any) -> dict[str, Any]:
    """Return the whole report as JSON; levels by name."""
    return {
        "format": FORMAT,
        "host": host,
        "profile": report.profile,
        "level": worst(report.findings).name,
        "elapsed_s": report.elapsed_s,
        **more,
        "findings": [
            dataclasses.asdict(finding) | {"level": finding.level.name}
            for finding in report.findings
        ],
    }


def write_report(path: Path, report: Report, *, host: str, **more: Any) -> None:
    """Write the report atomically."""
    write_json(path, as_json(report, host=host, **more))


def _row(finding: Finding) -> str:
    expected = f" (expected {finding.expected})" if finding.expected else ""
    return (
        f"{finding.level.name:<{LEVEL_WIDTH}}  {finding.name:<{NAME_WIDTH}}  "
        f"{finding.found}{expected}"
    )
