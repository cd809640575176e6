"""Where prompts come from: the command line, a grammar, or a text, CSV or JSONL file."""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.core.errors import InputError
from pipeline.generate.conf import GenerateConfig
from pipeline.generate.grammar import expand

COLUMNS = {"prompt": str, "negative": str, "seed": int, "num_seeds": int}
"""What a row may hold, and as what."""
MAX_SEED = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Prompt:
    """One row of the work."""

    text: str
    negative: str
    num_seeds: int
    seed: int | None
    """Seed of this row alone; None takes the run's."""


def read_prompts(cfg: GenerateConfig) -> list[Prompt]:
    """Return all prompts in order: those of the config, then those of the file; groups expanded.

    Raises:
        InputError: The file is missing or a row is not usable, a group is unknown, or there is no
            prompt at all.
    """
    rows: list[Mapping[str, Any]] = [{"prompt": text} for text in cfg.prompts]
    if cfg.prompts_file is not None:
        rows += _read(cfg.prompts_file)
    prompts = [
        Prompt(
            text,
            row.get("negative", cfg.negative),
            row.get("num_seeds", cfg.num_seeds),
            row.get("seed"),
        )
        for row in rows
        for text in expand(row["prompt"], cfg.grammar)
    ]
    if not prompts:
        raise InputError(f"prompts_file: {cfg.prompts_file} holds no prompt")
    return prompts


def _read(path: Path) -> list[Mapping[str, Any]]:
    readers = {".txt": _text, ".csv": _csv, ".jsonl": _jsonl}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"prompts_file: {path} is none of {', '.join(readers)}")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"prompts_file: {path} does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"prompts_file: {path} cannot be read as text ({error})") from None
    return [_check(path, number, row) for number, row in reader(path, text)]


def _text(_path: Path, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(text.splitlines(), start=1):
        prompt = line.strip()
        if prompt and not prompt.startswith("#"):
            yield number, {"prompt": prompt}


def _csv(path: Path, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    reader = csv.DictReader(text.splitlines(keepends=True), strict=True)
    try:
        for row in reader:
            if None in row or None in row.values():
                found = len([v for v in row.values() if v is not None])
                raise InputError(
                    f"prompts_file: {path}:{reader.line_num}: not as many fields as the header's "
                    f"{len(reader.fieldnames or ())} (found {found})"
                )
            # An empty cell is a column that this row does without.
            yield reader.line_num, {key.strip(): cell for key, cell in row.items() if cell.strip()}
    except csv.Error as error:
        raise InputError(f"prompts_file: {path}:{reader.line_num}: {error}") from None


def _jsonl(path: Path, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"prompts_file: {path}:{number}: not JSON ({error})") from None
        if not isinstance(row, dict):
            raise InputError(f"prompts_file: {path}:{number}: not an object; found {line[:40]!r}")
        yield number, row


def _check(path: Path, number: int, row: Mapping[str, Any]) -> Mapping[str, Any]:
    where = f"prompts_file: {path}:{number}"
    unknown = sorted(row.keys() - COLUMNS.keys())
    if unknown:
        raise InputError(f"{where}: unknown column {unknown[0]!r}; known: {', '.join(COLUMNS)}")
    if not str(row.get("prompt", "")).strip():
        raise InputError(f"{where}: has no prompt")
    checked: dict[str, Any] = {}
    for key, value in row.items():
        try:
            checked[key] = _as(COLUMNS[key], value)
        except (TypeError, ValueError):
            kind = COLUMNS[key].__name__
            raise InputError(f"{where}: {key} {value!r} is not of type {kind}") from None
    if checked.get("num_seeds", 1) < 1:
        raise InputError(f"{where}: num_seeds {checked['num_seeds']} is below 1")
    if not 0 <= checked.get("seed", 0) <= MAX_SEED:
        raise InputError(f"{where}: seed {checked['seed']} is outside 0..{MAX_SEED}")
    try:
        json.dumps(checked, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{where}: holds half a character ({error.reason})") from None
    return checked


def _as(kind: type, value: object) -> object:
    if kind is str:
        if not isinstance(value, str):
            raise TypeError
        return value.strip()
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError
    return int(value)
