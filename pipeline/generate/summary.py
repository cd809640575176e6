"""What a whole run leaves beside its images: one table, one contact sheet."""

import json
import logging
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from pipeline.core.errors import InputError
from pipeline.core.files import read_json, write_atomic
from pipeline.core.picture import png_bytes
from pipeline.core.rundir import RunDir
from pipeline.core.sheet import contact_sheet
from pipeline.generate.conf import GateConfig
from pipeline.generate.gates import due
from pipeline.generate.ledger import Ledger, all_records
from pipeline.generate.work import WorkList

log = logging.getLogger(__name__)

SHEET_IMAGES = 256
SHEET_SIDE_PX = 128
"""What an image of the contact sheet is enlarged or reduced to, about, by an integer."""


def end_run(
    run_dir: RunDir, work: WorkList, *, ledger: Ledger, gates: GateConfig, sheet_columns: int
) -> dict[str, int]:
    """Write ``manifest.parquet`` and the contact sheet of a run whose images are all there.

    Returns:
        Counts of images that were drawn again and that the gates still turn away.
    """
    last = gates.max_redraws if gates.are_on else 0
    turned_away = set(
        due(gates, range(len(work)), attempt=last + 1, looks=ledger.looks) if gates.are_on else ()
    )
    write_table(run_dir, turned_away=turned_away)
    files = sorted(run_dir.images.glob("*.png"))[:SHEET_IMAGES]
    images = [_open(file) for file in files]
    enlarge = max(1, SHEET_SIDE_PX // max(max(image.size) for image in images))
    sheet = contact_sheet(images, columns=sheet_columns, enlarge=enlarge)
    write_atomic(run_dir.contact_sheet, png_bytes(sheet))
    log.info("contact sheet: %s", run_dir.contact_sheet)
    redrawn = sum(ledger.attempt(index) > 0 for index in range(len(work)))
    return {"num_redrawn": redrawn, "num_not_accepted": len(turned_away)}


def write_table(run_dir: RunDir, *, turned_away: set[int]) -> None:
    """Write one row an image, in order; nested values as JSON text; what is shared as metadata."""
    records = all_records(run_dir)
    rows = []
    for index in sorted(records):
        flat = {
            key: json.dumps(value, sort_keys=True) if isinstance(value, dict | list) else value
            for key, value in records[index].items()
        }
        rows.append(flat | {"accepted": index not in turned_away})
    table = pa.Table.from_pylist(rows)
    recipe = (run_dir.path / "recipe.json").read_bytes()
    buffer = BytesIO()
    pq.write_table(table.replace_schema_metadata({"recipe": recipe}), buffer, compression="zstd")
    write_atomic(run_dir.table, buffer.getvalue())


def read_records(run_dir: RunDir) -> list[dict[str, Any]]:
    """Return a run's records in order: from its table, or from its manifests while it goes on.

    Raises:
        InputError: There are none, or the table cannot be read.
    """
    if run_dir.table.is_file():
        try:
            rows: list[dict[str, Any]] = pq.read_table(run_dir.table).to_pylist()
        except pa.ArrowException as error:
            raise InputError(f"{run_dir.table}: not a readable table ({error})") from None
        return rows
    records = all_records(run_dir)
    if not records:
        raise InputError(f"{run_dir.path}: no manifest there; is it a run of jobs.generate?")
    return [records[index] for index in sorted(records)]


def expected_count(run_dir: RunDir) -> int:
    """Return how many images a run is to have.

    Raises:
        InputError: It has no recipe.
    """
    return int(read_json(run_dir.path / "recipe.json")["num_images"])


def _open(file: Path) -> Image.Image:
    with Image.open(file) as image:
        # Big ones are averaged: 256 of them as they are would not fit into memory.
        return image.reduce(max(1, -(-max(image.size) // SHEET_SIDE_PX)))
