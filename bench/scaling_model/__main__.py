"""Training and generation at 1, 8, 64 and 512 B200s, predicted; and the model checked here.

    python -m bench.scaling_model --out FOLDER
    python -m bench.scaling_model --check --dataset data/tiles32 --out FOLDER

Without ``--check`` nothing is measured: it is arithmetic on published figures, which are printed
with every assumption. ``--check`` runs 1, 2 and 4 ranks on this machine (minutes; nothing else
should run) and sets what they do beside what the same formulas say. FOLDER gets
``scaling_model.json`` and ``scaling_model.png``.
"""

import argparse
import dataclasses
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.record import BenchResult, here, read_result, row, write_result
from bench.scaling_model.assume import assume
from bench.scaling_model.chart import GPUS, draw
from bench.scaling_model.measure import (
    RANKS,
    WARMUP,
    Checked,
    Settings,
    busy_share,
    compare,
    describe_check,
    measure,
)
from bench.scaling_model.table import describe, describe_assumptions, predict_all, rows_of
from pipeline.core.errors import InputError, one_line_errors
from pipeline.core.machine import read_machine
from pipeline.data.dataset import Dataset

BATCH_SIZE = 16
DRAW_BATCH_SIZE = 8
SAMPLER_STEPS = 25
LEAST_IMAGES = 8
QUIET = 0.1
"""Share of the cores that others may keep busy before the check is worth nothing."""
NAME = "scaling_model"


def check(arguments: argparse.Namespace) -> tuple[dict[str, Any], list[Checked]]:
    """Measure here and compare.

    Raises:
        InputError: There is no data set, or a rank failed.
    """
    Dataset.open(arguments.dataset)
    if arguments.steps < 1 or arguments.images < LEAST_IMAGES:
        raise InputError(f"--steps, --images: at least 1 and {LEAST_IMAGES}")
    settings = Settings(
        dataset=str(arguments.dataset.resolve()),
        # Whole, and what a rank has of it where it is the same over all ranks.
        batch_sizes=[BATCH_SIZE // num_ranks for num_ranks in RANKS],
        num_steps=arguments.steps,
        num_images=arguments.images,
        draw_batch_size=DRAW_BATCH_SIZE,
        sampler_steps=SAMPLER_STEPS,
    )
    num_cores = read_machine().num_cores
    busy = busy_share()
    if busy > QUIET:
        print(f"others keep {busy:.0%} of the cores busy: the check does not hold", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        told = measure(settings, num_cores=num_cores, folder=Path(folder))
    return {"busy_share": busy, "places": told}, compare(told, num_cores=num_cores)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError, FileNotFoundError):
        raise InputError(f"--out: {folder} cannot be a folder") from None


@one_line_errors
def main() -> int:
    """Predict, check where asked, print and write."""
    parser = argparse.ArgumentParser(
        prog=f"python -m bench.{NAME}",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, help="folder for the JSON and the PNG")
    parser.add_argument("--num-images", type=int, default=100_000, help="of a run of generation")
    parser.add_argument("--measured", type=Path, help="bench file with times on one GPU")
    parser.add_argument("--assume", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--check", action="store_true", help="measure 1, 2 and 4 ranks here")
    parser.add_argument("--dataset", type=Path, default=Path("data/tiles32"))
    parser.add_argument("--steps", type=int, default=30, help="training steps a place")
    parser.add_argument("--images", type=int, default=64, help="images drawn a place")
    arguments = parser.parse_args()
    if arguments.num_images < 1:
        raise InputError(f"--num-images: {arguments.num_images} is below 1")
    if arguments.out:
        _make(arguments.out)
    assumed = assume(arguments.assume)
    measured = read_result(arguments.measured) if arguments.measured else None
    tables = predict_all(assumed, num_images=arguments.num_images, measured=measured)
    told, checked = check(arguments) if arguments.check else ({}, [])
    print("\n\n".join([*map(describe, tables), describe_assumptions(assumed)]))
    if checked:
        print(f"\n{describe_check(checked)}")
    if arguments.out:
        rows = rows_of(tables)
        rows += [
            row(
                f"check.{each.name}.{each.num_ranks}ranks",
                each.measured_img_per_s,
                unit="img/s",
                warmup=WARMUP,
                ceiling=each.predicted_img_per_s,
                ceiling_is="predicted by the same formulas from one rank alone",
            )
            for each in checked
        ]
        result = BenchResult(
            bench=NAME,
            conditions=here(num_ranks=max(RANKS) if checked else 1),
            rows=tuple(rows),
            settings={"num_images": arguments.num_images, **dataclasses.asdict(assumed)},
            command=" ".join(["python", "-m", f"bench.{NAME}", *sys.argv[1:]]),
            extra={"check": told},
        )
        write_result(arguments.out / f"{NAME}.json", result)
        lines = predict_all(assumed, num_images=arguments.num_images, measured=measured, gpus=GPUS)
        draw(arguments.out / f"{NAME}.png", lines, checked)
    return 0


if __name__ == "__main__":
    sys.exit(main())
