"""``docs/metrics.md``: every metric of the project, out of the modules that compute them.

python -m eval.catalogue > docs/metrics.md
"""

import sys
from collections.abc import Iterable
from pathlib import Path

from eval import clip, diversity, frechet, kernel, lpips, pixel_error, st_lpips, tile_text
from eval.metric import MetricInfo
from eval.pixels import measure
from eval.rubric import metrics as rubric

HEAD = """\
# Metrics

Made by `python -m eval.catalogue`; a test says when it is out of date. Quality is measured by
`python -m jobs.evaluate`, speed by `python -m jobs.bench`, power and memory by the telemetry beside
every job. A metric whose weights are not there is `unavailable`, with how to get them; it is never
another's number.

`make eval-metrics` makes `build/eval`: all that `.venv` has, with another torch, its torchvision,
LPIPS and ST-LPIPS. `build/eval/bin/python -m jobs.evaluate` with the usual settings measures these
as well; AlexNet's and CLIP's weights come in no package and have to be fetched once.
`make test-eval` runs the tests of `eval` there, against other libraries' values and with the rating
page in Chromium, and fails where one is skipped.
"""
KINDS: tuple[tuple[str, str, tuple[MetricInfo, ...]], ...] = (
    ("Pictures in pairs, and with their prompts",
     "eval/pixel_error.py, lpips.py, st_lpips.py, clip.py, tile_text.py",
     (*pixel_error.METRICS, *lpips.METRICS, *st_lpips.METRICS, *clip.METRICS, *tile_text.METRICS)),
    ("Set against set", "eval/kernel.py, frechet.py", (*kernel.METRICS, *frechet.METRICS)),
    ("Pixels", "eval/pixels/", measure.METRICS),
    ("Diversity and memorisation", "eval/diversity.py", diversity.METRICS),
    ("People", "eval/rubric/", rubric.METRICS),
)  # fmt: skip
BESIDE = Path(__file__).parent / "assets" / "speed_metrics.md"
"""Those that other rooms measure."""


def page() -> str:
    """Return the page."""
    parts = [HEAD]
    for title, where, infos in KINDS:
        parts += [f"## {title}\n\n`{where}`\n", _table(infos)]
    return "\n".join(parts) + "\n" + BESIDE.read_text(encoding="utf-8")


def _table(infos: Iterable[MetricInfo]) -> str:
    rows = [
        "| metric | unit | better | formula | source | needs |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for info in infos:
        better = {True: "higher", False: "lower", None: "-"}[info.higher_is_better]
        cells = (info.name, info.unit or "-", better, info.formula, info.source, info.needs or "-")
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def main() -> int:
    """Print the page."""
    sys.stdout.write(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
