"""A result as text for people."""

from bench.compare import Change
from bench.record import BenchResult, Row

NOT_MEASURED = "not measured"


def result_table(result: BenchResult) -> str:
    """Return conditions, rows and sentences, one line each."""
    when = result.measured or NOT_MEASURED
    dirty = " with changes" if result.dirty else ""
    head = [
        f"{result.bench} on {result.conditions.hardware} ({result.conditions.device}), {when}",
        f"commit {(result.commit or 'unknown')[:12]}{dirty}; {result.command}",
        f"{'row':<34}{'median':>12}{'p95':>12}  {'unit':<9}{'share':>7}  of",
    ]
    return "\n".join([*head, *(_line(row) for row in result.rows), *result.verdicts])


def change_table(changes: list[Change]) -> str:
    """Return one line a row: before, after, ratio (above 1 is better), verdict."""
    lines = [f"{'row':<34}{'before':>12}{'after':>12}  {'unit':<9}{'ratio':>7}  verdict"]
    for each in changes:
        ratio = "-" if each.ratio is None else f"{each.ratio:.3f}"
        lines.append(
            f"{each.name:<34}{_figure(each.before):>12}{_figure(each.after):>12}  "
            f"{each.unit:<9}{ratio:>7}  {each.verdict}"
        )
    return "\n".join(lines)


def _line(row: Row) -> str:
    if row.median is None:
        return f"{row.name:<34}{NOT_MEASURED:>24}  {row.unit}"
    share = "" if row.fraction is None else f"{row.fraction:.3f}"
    return (
        f"{row.name:<34}{_figure(row.median):>12}{_figure(row.p95):>12}  "
        f"{row.unit:<9}{share:>7}  {row.ceiling_is or ''}"
    ).rstrip()


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
