"""Say whether two runs made the same thing, bit for bit.

    python -m repro.compare runs/train/smoke/A runs/train/smoke/B

Compares the newest checkpoint of each (weights, optimiser, average: every file the manifest lists),
the LoRA files (but for the run they name), the deterministic rows of ``metrics.jsonl`` and the
generated images. Exit status 0 when all that both should have is equal, 1 otherwise.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import InputError, one_line_errors
from pipeline.core.files import sha256_file
from pipeline.core.rundir import RunDir
from pipeline.models.lora_header import made_sha256

TIMED = ("speed/", "time/", "memory/")
"""Prefixes of figures that measure the machine, not the result."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One thing that was compared."""

    what: str
    equal: bool
    detail: str


def compare_runs(left: RunDir, right: RunDir) -> list[Verdict]:
    """Compare two run folders.

    Returns:
        One verdict a kind of output that at least one of the runs has.

    Raises:
        InputError: A folder is not a run, or neither run has anything to compare.
    """
    for run in (left, right):
        if not run.config.is_file():
            raise InputError(f"{run.path}: not a run folder (no {run.config.name})")
    verdicts = [*_compare_files(left, right), *_compare_traces(left, right)]
    if not verdicts:
        raise InputError(f"{left.path}, {right.path}: neither has a checkpoint, LoRA or image")
    return verdicts


def trace(run: RunDir) -> list[dict[str, object]]:
    """Return the rows of ``metrics.jsonl`` without what measures the machine, in order."""
    if not run.metrics.exists():
        return []
    rows = [json.loads(line) for line in run.metrics.read_text(encoding="utf-8").splitlines()]
    kept = ({k: v for k, v in row.items() if not k.startswith(TIMED)} for row in rows)
    return [row for row in kept if set(row) - {"num_images"}]


def _compare_files(left: RunDir, right: RunDir) -> Iterator[Verdict]:
    groups = {
        "checkpoint": (_newest(left.checkpoints), _newest(right.checkpoints), "*.safetensors"),
        "lora": (left.lora, right.lora, "*.safetensors"),
        "images": (left.images, right.images, "*.png"),
    }
    for what, (a, b, pattern) in groups.items():
        # A LoRA's header names its run; that is no difference in what was made.
        digest = made_sha256 if what == "lora" else sha256_file
        digests_a, digests_b = _digests(a, pattern, digest), _digests(b, pattern, digest)
        names = sorted(digests_a.keys() | digests_b.keys())
        if not names:
            continue
        differing = [name for name in names if digests_a.get(name) != digests_b.get(name)]
        detail = f"differ: {', '.join(differing[:5])}" if differing else f"{len(names)} files"
        if what == "checkpoint" and a is not None and b is not None and a.name != b.name:
            differing, detail = names, f"at {a.name} and {b.name} images"
        yield Verdict(what, not differing, detail)


def _compare_traces(left: RunDir, right: RunDir) -> Iterator[Verdict]:
    rows_a, rows_b = trace(left), trace(right)
    if not rows_a and not rows_b:
        return
    unequal = [i for i, (a, b) in enumerate(zip(rows_a, rows_b, strict=False)) if a != b]
    if unequal:
        detail = f"first difference in row {unequal[0]}: {rows_a[unequal[0]]} {rows_b[unequal[0]]}"
    else:
        detail = f"{len(rows_a)} and {len(rows_b)} rows"
    yield Verdict("loss trace", rows_a == rows_b, detail)


def _newest(folder: Path) -> Path | None:
    names = sorted(p for p in folder.glob("*") if p.is_dir() and p.name.isdigit())
    return names[-1] if names else None


def _digests(folder: Path | None, pattern: str, digest: Callable[[Path], str]) -> dict[str, str]:
    if folder is None or not folder.is_dir():
        return {}
    return {p.name: digest(p) for p in sorted(folder.glob(pattern))}


@one_line_errors
def main() -> int:
    """Print one line a verdict."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("left", type=Path)
    parser.add_argument("right", type=Path)
    args = parser.parse_args()
    verdicts = compare_runs(RunDir(args.left), RunDir(args.right))
    for verdict in verdicts:
        word = "equal  " if verdict.equal else "DIFFERS"
        sys.stdout.write(f"{word} {verdict.what:<12} {verdict.detail}\n")
    return 0 if all(verdict.equal for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
