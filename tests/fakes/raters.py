"""Raters who answer a page of ratings without a browser, and save as the page does.

``tests/eval/rubric/test_browser.py`` holds the real page against the same reader.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from eval.rubric.criteria import NAMES
from eval.rubric.key import Key
from eval.rubric.page import SCHEMA
from eval.rubric.sprites import Sprite

AT = "2026-11-25T12:00:00.000Z"


def sprites(count: int, *, seed: int, side_px: int = 16, prompts: int = 0) -> list[Sprite]:
    """Pictures of noise; ``prompts`` of them share a text, 0: each has its own."""
    rng = np.random.default_rng(seed)
    return [
        Sprite(
            name=f"{number:06d}",
            prompt=f"thing {number // prompts if prompts else number}",
            rgba=rng.integers(0, 256, (side_px, side_px, 4)).astype(np.uint8),
        )
        for number in range(count)
    ]


def data_of(html: str) -> dict[str, Any]:
    """Return what a page carries."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    assert found is not None
    told: dict[str, Any] = json.loads(found.group(1))
    return told


def grade_all(key: Key, name: str, grade: Callable[[str, str], int | None]) -> dict[str, Any]:
    """Answer every picture: ``grade`` takes its opaque name and the criterion."""
    return _file(
        key,
        name,
        [
            {"item": item, "repeat": 0, "criterion": criterion, "value": grade(item, criterion)}
            for item in sorted(key.images)
            for criterion in NAMES
        ],
    )


def choose_all(key: Key, name: str, prefer: Callable[[str, str], str | None]) -> dict[str, Any]:
    """Answer every pair: ``prefer`` takes what is left and right; every other pair is flipped."""
    rows = []
    for number, (item, pair) in enumerate(sorted(key.pairs.items())):
        left, right = sorted(pair, reverse=number % 2 == 1)
        row = {"item": item, "repeat": 0, "left": left, "right": right}
        rows.append(row | {"choice": prefer(left, right)})
    return _file(key, name, rows)


def save(folder: Path, told: dict[str, Any]) -> Path:
    """Write a rater's file as JSON."""
    path = folder / f"{told['rater']}.json"
    path.write_text(json.dumps(told))
    return path


def save_csv(folder: Path, told: dict[str, Any]) -> Path:
    """Write a rater's file as CSV."""
    head = {field: told[field] for field in ("schema", "page", "mode", "rater")}
    rows = [head | row for row in told["ratings"]]
    lines = [",".join(rows[0])]
    lines += [",".join("" if v is None else str(v) for v in row.values()) for row in rows]
    path = folder / f"{told['rater']}.csv"
    path.write_bytes("\r\n".join([*lines, ""]).encode())
    return path


def _file(key: Key, name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "page": key.page,
        "mode": key.mode.value,
        "rater": name,
        "started": AT,
        "saved": AT,
        "complete": True,
        "ratings": [
            {"position": number, **row, "time_s": 1.5, "at": AT}
            for number, row in enumerate(rows, start=1)
        ],
    }
