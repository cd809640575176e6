"""What made each image of a run: ``python -m jobs.show RUN --rows 8``.

Prompt, seed, noise, commit and model of the first images: what is an image's own from
manifest.parquet (from the manifests while the run goes on), what all share from recipe.json. The
first noise of an image is drawn from seed and noise index. ``--json`` prints whole records.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from pipeline.core.errors import InputError, one_line_errors
from pipeline.core.files import read_json
from pipeline.core.rundir import RunDir
from pipeline.generate.summary import read_records

HASH_DIGITS = 10
COLUMNS = {
    "file": 13,
    "prompt": 32,
    "seed": 6,
    "noise": 6,
    "commit": HASH_DIGITS,
    "model": HASH_DIGITS,
}


@one_line_errors
def main() -> int:
    """Print the rows."""
    parser = argparse.ArgumentParser(
        prog="python -m jobs.show",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", type=Path, help="run folder of jobs.generate")
    parser.add_argument("--rows", type=int, default=8, help="images to show (8)")
    parser.add_argument("--json", action="store_true", help="whole records, one JSON object a line")
    given = parser.parse_args()
    if given.rows < 1:
        raise InputError(f"--rows: {given.rows} is below 1")
    records = read_records(RunDir(given.run))
    recipe = read_json(given.run / "recipe.json")
    if given.json:
        for record in records[: given.rows]:
            print(json.dumps(record, sort_keys=True))
        return 0
    print("  ".join(f"{name:<{width}}" for name, width in COLUMNS.items()))
    for record in records[: given.rows]:
        told = _row(record, recipe)
        print("  ".join(f"{told[name][:width]:<{width}}" for name, width in COLUMNS.items()))
    print(f"{min(given.rows, len(records))} of {len(records)} images; more in each PNG and --json")
    return 0


def _row(record: dict[str, Any], recipe: dict[str, Any]) -> dict[str, str]:
    return {
        "file": str(record["file"]),
        "prompt": str(record["prompt"]),
        "seed": str(record["seed"]),
        "noise": str(record["noise_index"]),
        "commit": str(recipe["project"]["commit"]),
        "model": str(recipe["model"]["sha256"]),
    }


if __name__ == "__main__":
    sys.exit(main())
