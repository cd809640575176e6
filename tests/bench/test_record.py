import dataclasses
import json
from pathlib import Path

import pytest

from bench.record import BenchResult, Row, here, read_result, row, write_result
from pipeline.core.errors import InputError

BASELINES = Path(__file__).parents[2] / "bench" / "baselines"


def result(**changes):
    whole = BenchResult(
        bench="loader",
        conditions=here(num_threads=2),
        rows=(row("ours", [90.0, 100.0, 110.0], unit="img/s", ceiling=200.0, ceiling_is="RAM"),),
        settings={"batch_size": 64},
        command="python -m jobs.bench bench=loader",
        measured="2026-11-25T00:00:00+00:00",
    )
    return dataclasses.replace(whole, **changes)


def test_a_rate_tells_median_worse_end_and_share_of_its_ceiling():
    told = row("rate", [90, 100, 110], unit="img/s", ceiling=200, ceiling_is="bound")
    assert (told.median, told.p95, told.fraction, told.repeats) == (100, 91, 0.5, 3)


def test_of_a_time_the_worse_end_is_the_longer_and_less_is_more():
    told = row("time", [9, 10, 11], unit="ms", higher_is_better=False, ceiling=5)
    assert (told.median, told.p95, told.fraction) == (10, 10.9, 0.5)


def test_what_is_written_is_read(tmp_path):
    write_result(tmp_path / "a.json", result())
    assert read_result(tmp_path / "a.json") == result()


def test_a_place_to_fill_is_told_apart_from_nought(tmp_path):
    empty = result(rows=(Row(name="all_reduce", unit="GB/s"),), measured=None)
    write_result(tmp_path / "a.json", empty)
    assert read_result(tmp_path / "a.json").rows[0].median is None


@pytest.mark.parametrize("text", ["{}", '{"format": "dgx-pixels-bench/1"}', "[1]", '{"for'])
def test_a_broken_file_is_named(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=r"a\.json"):
        read_result(tmp_path / "a.json")


def written(tmp_path, *keys, value):
    """A whole file in which one field has another value."""
    write_result(tmp_path / "a.json", result())
    told = json.loads((tmp_path / "a.json").read_text())
    part = told
    for key in keys[:-1]:
        part = part[key]
    part[keys[-1]] = value
    (tmp_path / "a.json").write_text(json.dumps(told))
    return tmp_path / "a.json"


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("bench",), [1]), (("settings",), 3), (("settings",), None), (("measured",), 20261125),
        (("verdicts",), [3]), (("dirty",), "no"), (("commit",), {}), (("extra",), []),
        (("conditions", "hardware"), {}), (("conditions", "device"), None),
        (("conditions", "num_ranks"), 1.5), (("conditions", "num_ranks"), True),
        (("conditions", "versions"), {"torch": 2}), (("rows", 0, "name"), []),
        (("rows", 0, "median"), "fast"), (("rows", 0, "median"), float("nan")),
        (("rows", 0, "p95"), 10**400), (("rows", 0, "repeats"), None),
        (("rows", 0, "higher_is_better"), 1), (("rows", 0, "fraction"), float("inf")),
    ],
)  # fmt: skip
def test_a_field_of_another_type_is_named(tmp_path, keys, value):
    path = written(tmp_path, *keys, value=value)
    with pytest.raises(InputError, match=rf"a\.json: .*{keys[-1]}") as told:
        read_result(path)
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < len(str(path)) + 200


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("rows",), 3), (("rows",), [3]), (("rows",), [{"name": "a"}]), (("conditions",), []),
        (("conditions",), {"hardware": "x"}), (("verdicts",), 3), (("odd",), 1),
    ],
)  # fmt: skip
def test_a_part_of_another_shape_is_one_line(tmp_path, keys, value):
    with pytest.raises(InputError, match=r"a\.json: not a whole"):
        read_result(written(tmp_path, *keys, value=value))


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("rows", 0, "median"), 3), (("rows", 0, "median"), None), (("measured",), None),
        (("conditions", "power_limit_w"), 700), (("conditions", "num_threads"), None),
    ],
)  # fmt: skip
def test_whole_numbers_and_places_to_fill_are_read(tmp_path, keys, value):
    read_result(written(tmp_path, *keys, value=value))


@pytest.mark.parametrize("path", sorted(BASELINES.glob("*.json")), ids=lambda path: path.stem)
def test_every_kept_baseline_is_read(path):
    assert read_result(path).rows
