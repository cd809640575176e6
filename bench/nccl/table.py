"""Sweeps as nccl-tests prints them."""

from bench.nccl.sweep import Figures, Sweep, SweepRow

NAMES = ("time", "algbw", "busbw", "#wrong")
UNITS = ("(us)", "(GB/s)", "(GB/s)", "")
BLANK = " " * 34


def format_sweep(sweep: Sweep) -> str:
    """Return a table: who measured what on what, then one line a size."""
    lines = [
        f"# {sweep.operation}, {sweep.num_ranks or 'unknown'} ranks on {sweep.num_nodes or 1} "
        f"nodes, {sweep.device or 'unknown device'}",
        f"# {sweep.tool}{f', NCCL {sweep.nccl}' if sweep.nccl else ''}{_nvls(sweep.nvls)}",
        f"# {'':>10}  {'':>12}  {'':>8}  {'':>6}  {'':>6}{'out-of-place':>34}{'in-place':>34}",
        _heading(("size", "count", "type", "redop", "root", *NAMES, *NAMES)),
        _heading(("(B)", "(elements)", "", "", "", *UNITS, *UNITS)),
        *(_line(row) for row in sweep.rows),
    ]
    wrong = f"# Out of bounds values : {sweep.wrong} {'FAILED' if sweep.wrong else 'OK'}"
    lines.append(wrong if sweep.complete else "# NOT COMPLETE")
    return "\n".join([*lines, *(f"# {note}" for note in sweep.notes)]) + "\n"


def _nvls(nvls: bool | None) -> str:
    return "" if nvls is None else f", NVLS {'on' if nvls else 'off'}"


def _heading(names: tuple[str, ...]) -> str:
    widths = (10, 12, 8, 6, 6, *(8, 7, 7, 6) * 2)
    cells = (f"{name:>{width}}" for name, width in zip(names, widths, strict=True))
    return ("# " + "  ".join(cells)).rstrip()


def _line(row: SweepRow) -> str:
    head = (
        f"{row.size_bytes:>12}  {row.count:>12}  {row.dtype:>8}  {row.redop or '-':>6}  "
        f"{'-' if row.root is None else row.root:>6}"
    )
    return (head + _figures(row.out_of_place) + _figures(row.in_place)).rstrip()


def _figures(told: Figures | None) -> str:
    if told is None:
        return BLANK + "  "
    wrong = "N/A" if told.wrong is None else str(told.wrong)
    bandwidths = "".join(f"  {_number(each):>7}" for each in (told.algbw, told.busbw))
    return f"  {_number(told.time_us):>8}{bandwidths}  {wrong:>6}"


def _number(value: float | None) -> str:
    if value is None:
        return "nan"
    return f"{value:.0f}" if value >= 1e5 else f"{value:.2f}"
