"""Raters' files, JSON or CSV, read and held against the page's key.

JSON, ``dgx-pixels-rubric/1``, is written by the page::

    {"schema", "page", "mode", "rater", "started", "saved", "complete", "ratings": [
        {"position", "item", "repeat", "criterion", "value", "time_s", "at"},             absolute
        {"position", "item", "repeat", "left", "right", "choice", "time_s", "at"}, ...]}  pairwise

CSV has the same columns, with schema, page, mode and rater in each row. ``value`` is 1 to 5,
``choice`` is left, right or tie; null, or nothing, is skipped. ``repeat`` 1 is the second time.
"""

import csv
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.rubric.conf import RubricMode
from eval.rubric.criteria import GRADES, NAMES
from eval.rubric.key import Key
from eval.rubric.page import SCHEMA
from pipeline.core.errors import InputError

RATER = re.compile(r"[^\W_][\w .-]{0,39}")
TIE = "tie"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One grade or one choice."""

    item: str
    """Opaque name of the picture or the pair."""
    is_repeat: bool
    """Whether it is what the rater said the second time."""
    criterion: str
    """Empty for pairs."""
    grade: int | None
    """1 to 5; None: skipped, or a pair."""
    winner: str | None
    """Opaque name of the picture that was preferred, or ``tie``; None: skipped, or a grade."""
    left: str
    """Opaque name of the picture on the left; empty for grades."""
    time_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rater:
    """One rater's file."""

    name: str
    answers: tuple[Answer, ...]


def read_raters(files: Sequence[Path], key: Key) -> list[Rater]:
    """Read the files of several raters of one page, in order of their names.

    Raises:
        InputError: None is given, one is broken or of another page, or two are of one rater; the
            line names file and field.
    """
    if not files:
        raise InputError("ratings: no file given; the page saves them")
    raters: dict[str, tuple[Path, Rater]] = {}
    for file in files:
        rater = read_rater(file, key)
        if rater.name in raters:
            raise InputError(
                f"{file}: rater: {rater.name!r} is the rater of {raters[rater.name][0]} too; "
                "give each rater's last file only"
            )
        raters[rater.name] = file, rater
    return [raters[name][1] for name in sorted(raters)]


def read_rater(file: Path, key: Key) -> Rater:
    """Read one rater's file.

    Raises:
        InputError: As ``read_raters``.
    """
    head, rows = _load(file)
    for field, wanted in (("schema", SCHEMA), ("page", key.page), ("mode", key.mode.value)):
        if head.get(field) != wanted:
            raise InputError(f"{file}: {field}: {head.get(field)!r}; the key's is {wanted!r}")
    name = head.get("rater")
    if not isinstance(name, str) or not RATER.fullmatch(name):
        raise InputError(f"{file}: rater: {name!r} is not a name of letters, digits, _-. and space")
    answers: dict[tuple[str, bool, str], Answer] = {}
    for where, row in rows:
        try:
            answer = _answer(row, key)
        except ValueError as error:
            raise InputError(f"{file}: {where}{error}") from None
        place = (answer.item, answer.is_repeat, answer.criterion)
        if place in answers:
            raise InputError(f"{file}: {where}item: {answer.item} is answered twice")
        answers[place] = answer
    if not answers:
        raise InputError(f"{file}: ratings: none; nothing was rated yet")
    return Rater(name=name, answers=tuple(answers.values()))


def _load(file: Path) -> tuple[dict[str, Any], list[tuple[str, Mapping[str, Any]]]]:
    """Return what a file says of itself, and its rows with the words that say where they are."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, IsADirectoryError):
        raise InputError(f"{file}: no such file") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: not UTF-8 ({error})") from None
    if text.lstrip().startswith("{"):
        return _load_json(file, text)
    return _load_csv(file, text)


def _load_json(file: Path, text: str) -> tuple[dict[str, Any], list[tuple[str, Mapping[str, Any]]]]:
    try:
        head = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{file}: not valid JSON ({error})") from None
    rows = head.pop("ratings", None)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{file}: ratings: not a list of objects")
    return head, [(f"ratings[{number}].", row) for number, row in enumerate(rows)]


def _load_csv(file: Path, text: str) -> tuple[dict[str, Any], list[tuple[str, Mapping[str, Any]]]]:
    reader = csv.DictReader(io.StringIO(text), strict=True)
    rows: list[tuple[str, Mapping[str, Any]]] = []
    head: dict[str, Any] = {}
    try:
        for row in reader:
            where = f"line {reader.line_num}: "
            if None in row or None in row.values():
                raise InputError(f"{file}: {where}not as many fields as the first line has")
            own = {field: row.get(field) for field in ("schema", "page", "mode", "rater")}
            if rows and own != head:
                field = next(each for each in own if own[each] != head[each])
                raise InputError(f"{file}: {where}{field}: {own[field]!r}, above {head[field]!r}")
            head = own
            rows.append((where, {name: text or None for name, text in row.items()}))
    except csv.Error as error:
        raise InputError(f"{file}: line {reader.line_num}: not valid CSV ({error})") from None
    if not rows:
        raise InputError(f"{file}: neither a JSON object nor CSV with a first line and rows")
    return head, rows


def _answer(row: Mapping[str, Any], key: Key) -> Answer:
    item = _one_of(row, "item", key.items)
    is_pair = key.mode is RubricMode.pairwise
    winner, left = _choice(row, key.pairs[item]) if is_pair else (None, "")
    return Answer(
        item=item,
        is_repeat=_integer(row, "repeat", (0, 1)) == 1,
        criterion="" if is_pair else _one_of(row, "criterion", NAMES),
        grade=None if is_pair or _is_skipped(row, "value") else _integer(row, "value", GRADES),
        winner=winner,
        left=left,
        time_s=_seconds(row),
    )


def _choice(row: Mapping[str, Any], pair: tuple[str, str]) -> tuple[str | None, str]:
    left, right = _one_of(row, "left", pair), _one_of(row, "right", pair)
    if left == right:
        raise ValueError(f"right: {right!r} is on the left too")
    if _is_skipped(row, "choice"):
        return None, left
    sides = {"left": left, "right": right, TIE: TIE}
    return sides[_one_of(row, "choice", sides)], left


def _is_skipped(row: Mapping[str, Any], field: str) -> bool:
    if field not in row:
        raise ValueError(f"{field}: missing")
    return row[field] is None


def _one_of(row: Mapping[str, Any], field: str, allowed: Any) -> str:
    value = row.get(field)
    if not isinstance(value, str) or value not in allowed:
        told = ", ".join(sorted(allowed)) if len(allowed) <= 5 else f"{len(allowed)} of the key's"
        raise ValueError(f"{field}: {value!r} is none of {told}")
    return value


def _integer(row: Mapping[str, Any], field: str, allowed: Sequence[int]) -> int:
    value = row.get(field)
    # A file's 3, "3" of CSV, and no other: not 3.0, True or " 3".
    for number in allowed:
        if value == str(number) or (type(value) is int and value == number):
            return number
    raise ValueError(f"{field}: {value!r} is none of {', '.join(map(str, allowed))}")


def _seconds(row: Mapping[str, Any]) -> float:
    try:
        value = float(row.get("time_s") or 0.0)
    except (TypeError, ValueError):
        value = math.nan
    if not 0 <= value < math.inf:
        raise ValueError(f"time_s: {row.get('time_s')!r} is not a number of seconds")
    return value
