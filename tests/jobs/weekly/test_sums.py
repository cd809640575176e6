import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.telemetry.cost import Prices
from jobs.records.find import find_runs
from jobs.records.week import Week
from jobs.weekly.failures import group_failures
from jobs.weekly.sums import sum_week
from jobs.weekly.text import BLOCKS, Links, change, shorten, spark, thin
from tests.fakes.records import attempt, metered, write_run

W48 = Week.parse("2026-W48")
W47 = W48.before()


def test_hours_count_in_the_week_of_the_attempt_and_the_run_in_that_of_the_last(
    tmp_path: Path,
) -> None:
    first = attempt("2026-11-22T23:00:00+00:00", telemetry=metered())
    write_run(tmp_path, "train/a/1", first, attempt(elapsed_s=1800.0), num_images=128)
    runs = find_runs(tmp_path).runs
    now, then = (sum_week(runs, week, prices=None) for week in (W48, W47))
    assert (len(now.runs), len(then.runs)) == (1, 0)
    assert (now.gpu_hours, then.gpu_hours) == (1.0, 2.0)
    assert (now.num_attempts, now.num_again, now.num_metered) == (1, 1, 0)
    assert (now.energy_kwh, then.energy_kwh) == (None, 1.0)
    assert now.images_trained == 128
    assert not now.costs


def test_cost_is_of_given_prices_or_of_the_runs_own(tmp_path: Path) -> None:
    run = write_run(tmp_path, "train/a/1", attempt(telemetry=metered()))
    record = json.loads((run / "run.json").read_text())
    record["telemetry"] = {"prices": {"per_gpu_hour": 3.0, "per_kwh": None, "currency": "CHF"}}
    (run / "run.json").write_text(json.dumps(record))
    write_run(tmp_path, "train/a/2", attempt(num_gpus=0))
    runs = find_runs(tmp_path).runs
    own = sum_week(runs, W48, prices=None)
    assert own.costs == {"CHF": 6.0}
    assert own.num_priced == 1
    given_prices = Prices(per_gpu_hour=2.0, per_kwh=0.5)
    assert sum_week(runs, W48, prices=given_prices).costs == {"EUR": 4.5}


def test_slices_are_no_number_of_gpus(tmp_path: Path) -> None:
    write_run(tmp_path, "train/a/1", attempt(num_gpus=None))
    sums = sum_week(find_runs(tmp_path).runs, W48, prices=None)
    assert (sums.gpu_hours, sums.num_timed, sums.num_attempts) == (0.0, 0, 1)


def test_figures_that_are_no_numbers_count_as_none(tmp_path: Path) -> None:
    run = write_run(tmp_path, "generate/a/1", attempt(elapsed_s=float("nan")), num_images="ten")
    write_run(tmp_path, "generate/a/2", num_images=float("inf"))
    found = find_runs(tmp_path)
    sums = sum_week(found.runs, W48, prices=None)
    assert sums.images_made == 0
    assert sums.gpu_hours == 2.0
    assert found.runs[0].path == run
    assert found.runs[0].hours is None


def test_failures_alike_but_for_numbers_and_names_are_one(tmp_path: Path) -> None:
    for index in range(3):
        reason = f"/home/me/{index}.png: not a picture ({index} bytes)"
        write_run(tmp_path, f"train/a/{index}", attempt(reason=reason), status="failed")
    write_run(tmp_path, "train/a/other", attempt(reason="CUDA out of memory"), status="failed")
    write_run(tmp_path, "train/a/fine")
    failures = group_failures(find_runs(tmp_path).runs)
    assert [len(failure.runs) for failure in failures] == [3, 1]


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("/home/someone/project/data: no such file", "someone"),
        ("HTTP 401: WANDB_API_KEY=0123456789 refused", "0123456789"),
        ("hf_token: abcdef is not valid", "abcdef"),
        ("a | b", " | "),
        ("one\ntwo", "\n"),
        ("<script>", " <s"),
        ("x" * 1000, "x" * 200),
    ],
)
def test_what_others_wrote_is_fit_for_a_committed_table(text: str, hidden: str) -> None:
    assert hidden in f" {text} "
    assert hidden not in f" {shorten(text)} "


@given(st.text())
def test_any_text_becomes_one_line_of_valid_bytes(text: str) -> None:
    line = shorten(text)
    line.encode()
    assert "\n" not in line


def test_a_link_leads_to_the_folder_or_is_words(tmp_path: Path) -> None:
    links = Links(tmp_path / "STATUS.md")
    run = tmp_path / "runs" / "train" / "a b" / "1"
    assert links.to(run, above=tmp_path / "runs") == "[train/a b/1](<runs/train/a b/1>)"
    outside = Links(tmp_path / "docs" / "STATUS.md").to(run, above=tmp_path / "runs")
    assert outside == "train/a b/1"


@pytest.mark.parametrize(
    ("now", "then", "told"),
    [(3, 2, "+1 (+50 %)"), (1, 2, "-1 (-50 %)"), (2, 2, "same"), (2, 0, "+2"), (None, 2, "-")],
)
def test_change_says_by_how_much(now: float | None, then: float | None, told: str) -> None:
    assert change(now, then) == told


def test_gpu_hours_of_attempts_cut_short_are_told_apart(tmp_path: Path) -> None:
    cut = attempt(reason="told to end", elapsed_s=1800.0)
    write_run(tmp_path, "train/a/1", cut, attempt())
    write_run(tmp_path, "train/a/2", attempt(reason="no such file"), status="failed")
    sums = sum_week(find_runs(tmp_path).runs, W48, prices=None)
    assert (sums.gpu_hours, sums.cut_gpu_hours) == (5.0, 3.0)


@given(st.lists(st.none() | st.floats(0, 1e12), min_size=1))
def test_bars_are_as_many_and_in_the_order_of_the_values(values: list[float | None]) -> None:
    line = spark(values, lowest=0.0).strip("`")
    known = [value for value in values if value is not None]
    if not known:
        assert line == "-"
        return
    assert len(line) == len(values)
    heights = {bar: height for height, bar in enumerate(BLOCKS)}
    told = [(value, heights[bar]) for value, bar in zip(values, line, strict=True) if bar != "."]
    assert [value for value, _ in told] == known
    assert [height for _, height in sorted(told)] == sorted(height for _, height in told)
    assert max(height for _, height in told) == (len(BLOCKS) - 1 if max(known) > 0 else 0)


def test_what_lies_below_the_lowest_has_the_lowest_bar() -> None:
    assert spark([-1e9, 1.0], lowest=0.0) == f"`{BLOCKS[0]}{BLOCKS[-1]}`"
    assert spark([-2.0, -1.0], lowest=0.0) == f"`{2 * BLOCKS[0]}`"


def test_bars_of_a_curve_begin_at_its_least() -> None:
    assert spark([3.0, 2.0]) == f"`{BLOCKS[-1]}{BLOCKS[0]}`"
    assert spark([3.0, 2.0], lowest=0.0) != spark([3.0, 2.0])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50), st.integers(1, 20))
def test_thinned_values_are_no_more_than_asked_and_within_the_old_ones(
    values: list[float], num: int
) -> None:
    few = thin(values, num)
    assert len(few) == min(num, len(values))
    assert min(values) - 1e-9 <= min(few) <= max(few) <= max(values) + 1e-9
    if len(values) <= num:
        assert few == values
