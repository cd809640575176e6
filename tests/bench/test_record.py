import dataclasses

import pytest

from bench.record import BenchResult, Row, here, read_result, row, write_result
from pipeline.core.errors import InputError


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
