import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eval.rubric.answers import read_rater, read_raters
from eval.rubric.conf import RubricMode
from eval.rubric.key import Key, read_key
from eval.rubric.page import build_page
from pipeline.core.errors import InputError
from tests.fakes.raters import choose_all, grade_all, save, save_csv, sprites

FIXTURES = Path(__file__).parent / "fixtures"
SETS = {run: sprites(3, seed=seed) for seed, run in enumerate("ab")}


def key_of(mode: RubricMode) -> Key:
    return build_page(SETS, mode=mode).key


GRADES, PAIRS = key_of(RubricMode.absolute), key_of(RubricMode.pairwise)


def grades() -> dict[str, Any]:
    return grade_all(GRADES, "anna", lambda item, criterion: 1 + int(item, 16) % 5)


def pairs() -> dict[str, Any]:
    return choose_all(PAIRS, "anna", lambda left, right: "left" if left < right else "tie")


@pytest.mark.parametrize(
    ("key", "told"), [(GRADES, grades), (PAIRS, pairs)], ids=["grades", "pairs"]
)
def test_json_and_csv_say_the_same(
    tmp_path: Path, key: Key, told: Callable[[], dict[str, Any]]
) -> None:
    given = told()
    column = "value" if key is GRADES else "choice"
    given["ratings"][0][column] = None
    from_json = read_rater(save(tmp_path, given), key)
    assert read_rater(save_csv(tmp_path, given), key) == from_json
    assert len(from_json.answers) == len(given["ratings"])
    assert sum(each.grade is None and each.winner is None for each in from_json.answers) == 1


def test_the_winner_is_a_picture_whatever_its_side(tmp_path: Path) -> None:
    told = choose_all(PAIRS, "anna", lambda left, right: "left" if left < right else "right")
    for answer in read_rater(save(tmp_path, told), PAIRS).answers:
        assert answer.winner == min(PAIRS.pairs[answer.item])


def row(field: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(told: dict[str, Any]) -> None:
        told["ratings"][2][field] = value

    return change


def lacks(field: str) -> Callable[[dict[str, Any]], None]:
    return lambda told: told["ratings"][2].pop(field)


def again(told: dict[str, Any]) -> None:
    told["ratings"][2] = dict(told["ratings"][1])


def one_side(told: dict[str, Any]) -> None:
    told["ratings"][2]["left"] = told["ratings"][2]["right"]


BREAKS: list[tuple[str, Callable[[dict[str, Any]], Any], str]] = [
    ("grades", lambda told: told.update(schema="dgx-pixels-rubric/2"), "schema"),
    ("grades", lambda told: told.update(page="0" * 64), "page"),
    ("grades", lambda told: told.update(mode="pairwise"), "mode"),
    ("grades", lambda told: told.update(rater=""), "rater"),
    ("grades", lambda told: told.update(rater="../etc"), "rater"),
    ("grades", lambda told: told.update(ratings=[]), "ratings"),
    ("grades", lambda told: told.update(ratings={}), "ratings"),
    ("grades", lambda told: told.pop("rater"), "rater"),
    ("grades", row("value", 6), r"ratings\[2\].value.*6"),
    ("grades", row("value", 3.5), r"ratings\[2\].value"),
    ("grades", row("value", True), r"ratings\[2\].value"),
    ("grades", row("criterion", "beauty"), r"ratings\[2\].criterion.*beauty"),
    ("grades", row("item", "feed" * 4), r"ratings\[2\].item"),
    ("grades", row("item", ["list"]), r"ratings\[2\].item"),
    ("grades", row("repeat", 2), r"ratings\[2\].repeat"),
    ("grades", row("time_s", -1), r"ratings\[2\].time_s"),
    ("grades", row("time_s", "long"), r"ratings\[2\].time_s"),
    ("grades", lacks("value"), r"ratings\[2\].value"),
    ("grades", again, r"ratings\[2\].item.*twice"),
    ("pairs", row("choice", "both"), r"ratings\[2\].choice.*both"),
    ("pairs", row("left", "feed" * 4), r"ratings\[2\].left"),
    ("pairs", lacks("right"), r"ratings\[2\].right"),
    ("pairs", one_side, r"ratings\[2\].right"),
]


@pytest.mark.parametrize(("kind", "change", "field"), BREAKS)
def test_what_is_wrong_is_named_with_its_file(
    tmp_path: Path, kind: str, change: Callable[[dict[str, Any]], Any], field: str
) -> None:
    key, told = (GRADES, grades()) if kind == "grades" else (PAIRS, pairs())
    read_rater(save(tmp_path, told), key)
    change(told)
    path = tmp_path / "anna.json"
    path.write_text(json.dumps(told))
    with pytest.raises(InputError, match=rf"anna\.json: {field}"):
        read_rater(path, key)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("", "CSV"),
        ("hello", "CSV"),
        ("{", "JSON"),
        ('{"ratings": 3}', "ratings"),
        ("schema,page\nx,y\n", "schema"),
    ],
)
def test_other_files_are_not_ratings(tmp_path: Path, text: str, field: str) -> None:
    path = tmp_path / "other"
    path.write_text(text)
    with pytest.raises(InputError, match=f"other: .*{field}"):
        read_rater(path, GRADES)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("anna", "bert", "rater.*bert"),
        ("readability_1x", "beauty", "criterion.*beauty"),
        (",1.5,", ",", "fields"),
        (",1.5,", ",soon,", "time_s.*soon"),
    ],
)
def test_csv_is_held_to_the_same(tmp_path: Path, old: str, new: str, told: str) -> None:
    path = save_csv(tmp_path, grades())
    lines = path.read_text().splitlines()
    lines[3] = lines[3].replace(old, new)
    path.write_text("\n".join(lines))
    with pytest.raises(InputError, match=rf"anna\.csv: line 4: .*{told}"):
        read_rater(path, GRADES)


def test_an_image_and_a_folder_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe")
    for wrong in (path, tmp_path, tmp_path / "absent.json"):
        with pytest.raises(InputError, match=wrong.name):
            read_rater(wrong, GRADES)


def test_two_files_of_one_rater_are_refused(tmp_path: Path) -> None:
    files = [save(tmp_path, grades()), save_csv(tmp_path, grades())]
    with pytest.raises(InputError, match=r"anna\.csv: rater.*anna\.json"):
        read_raters(files, GRADES)
    with pytest.raises(InputError, match="ratings"):
        read_raters([], GRADES)


@pytest.mark.parametrize(
    ("mode", "rater", "count"), [("absolute", "Zoë 2", 40), ("pairwise", "bert", 4)]
)
def test_what_a_browser_saved_is_read(mode: str, rater: str, count: int) -> None:
    key = read_key(FIXTURES / f"{mode}.key.json")
    found = read_rater(FIXTURES / f"{mode}.json", key)
    assert found == read_rater(FIXTURES / f"{mode}.csv", key)
    assert (found.name, len(found.answers)) == (rater, count)
    said = [each.grade for each in found.answers]
    if mode == "absolute":
        assert said[:10] == [5, 4, 3, 2, 1, 4, 4, None, None, None]
    twice = [each.item for each in found.answers if each.is_repeat]
    assert len(set(twice)) == key.num_repeats
    assert set(twice) <= {each.item for each in found.answers if not each.is_repeat}
