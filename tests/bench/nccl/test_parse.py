"""Every layout of nccl-tests we know of, whole and broken."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.nccl.parse import parse_output, read_output
from bench.nccl.parse_json import scrub_env
from bench.nccl.sweep import GIB, MIB, OPERATIONS, Figures, sweep_from_dict, sweep_to_dict
from jobs.runtime.nccl_site import may_keep
from pipeline.core.errors import InputError

FIXTURES = Path(__file__).parent / "fixtures"
WHOLE = {
    "all_types_2.18.txt": ("all_reduce", 16, 7),
    "old_2.13.txt": ("unknown", 8, 3),
    "oldest_error_column.txt": ("unknown", 2, 2),
    "all_gather_two_nodes.txt": ("all_gather", 2, 1),
    "b200_good.txt": ("all_reduce", 8, 3),
    "b200_slow_srun_label.txt": ("all_reduce", 8, 2),
    "b200_alltoall_na.txt": ("alltoall", 8, 1),
    "scientific.txt": ("broadcast", 8, 1),
    "in_place_only.txt": ("all_reduce", 8, 1),
    "size_zero.txt": ("all_gather", 8, 4),
    "out_of_bounds.txt": ("all_reduce", 8, 1),
    "interleaved_log.txt": ("all_reduce", 8, 3),
    "per_iteration_timestamp.txt": ("all_reduce", 8, 1),
    "v3.json": ("all_reduce", 8, 3),
    "v3_one_process.json": ("all_reduce", 8, 1),
    "v3_secrets.json": ("all_reduce", 8, 1),
    "v3_nan_inf.json": ("all_reduce", 8, 1),
}
BROKEN = {
    "crash_in_a_row.txt": 0,
    "half_line.txt": 2,
    "v3_truncated.json": 2,
    "v3_truncated_in_env.json": 0,
}
REFUSED = ["empty.txt", "not_nccl.txt", "not_nccl.json", "two_runs.txt", "absent.txt"]


def read(name: str):
    return read_output(FIXTURES / name)


def test_every_fixture_is_looked_at():
    files = {path.name for path in FIXTURES.iterdir()} - {"README.md"}
    assert files == {*WHOLE, *BROKEN, *REFUSED} - {"absent.txt"}


@pytest.mark.parametrize(("name", "what"), WHOLE.items())
def test_a_whole_output_gives_every_row(name, what):
    sweep = read(name)
    assert (sweep.operation, sweep.num_ranks, len(sweep.rows)) == what
    assert sweep.complete


@pytest.mark.parametrize(("name", "num_rows"), BROKEN.items())
def test_a_half_output_gives_what_is_whole_and_says_so(name, num_rows):
    sweep = read(name)
    assert len(sweep.rows) == num_rows
    assert not sweep.complete


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_output_of_one_run_is_refused_by_name(name):
    with pytest.raises(InputError, match=name) as error:
        read(name)
    assert "\n" not in str(error.value)


def test_both_halves_are_told_apart():
    row = read("all_types_2.18.txt").rows[0]
    assert row.out_of_place == Figures(time_us=51702.1, algbw=207.68, busbw=389.40, wrong=0)
    assert row.in_place == Figures(time_us=51698.8, algbw=207.69, busbw=389.42, wrong=0)


def test_no_type_vanishes():
    types = [row.dtype for row in read("all_types_2.18.txt").rows]
    assert types == ["int8", "uint8", "half", "float", "bfloat16", "f8e4m3", "f8e5m2"]


def test_machine_and_versions_are_told():
    sweep = read("all_types_2.18.txt")
    assert (sweep.device, sweep.num_nodes) == ("NVIDIA H200", 2)
    assert (sweep.tool, sweep.nccl) == ("nccl-tests 2.18.3", "2.30.4")
    assert read("v3.json").nccl == "2.27.7"


def test_an_error_column_is_no_count_of_wrong_elements():
    sweep = read("oldest_error_column.txt")
    assert [row.best.wrong for row in sweep.rows] == [None, None]
    assert sweep.rows[0].root is None
    assert sweep.rows[0].redop == "sum"
    assert sweep.notes


def test_not_checked_is_not_zero_wrong():
    row = read("b200_alltoall_na.txt").rows[0]
    assert row.out_of_place is not None and row.out_of_place.wrong == 0
    assert row.in_place is not None and row.in_place.wrong is None


def test_numbers_with_exponents():
    row = read("scientific.txt").rows[0]
    assert row.best.time_us == 1_000_000
    assert row.root == 0


def test_in_place_alone_is_not_taken_for_out_of_place():
    for name in ("in_place_only.txt", "v3_one_process.json"):
        row = read(name).rows[0]
        assert row.out_of_place is None
        assert row.in_place is not None
        assert row.best is row.in_place


def test_wrong_elements_are_counted_by_row_and_by_the_tool():
    sweep = read("out_of_bounds.txt")
    assert sweep.out_of_bounds == 5
    assert sweep.wrong == 1_000_003


def test_more_columns_do_not_shift_the_known_ones():
    row = read("per_iteration_timestamp.txt").rows[0]
    assert row.out_of_place == row.in_place == Figures(
        time_us=50.97, algbw=20.57, busbw=36.0, wrong=0
    )  # fmt: skip


def test_what_a_crash_says_is_kept():
    assert any("illegal memory access" in note for note in read("crash_in_a_row.txt").notes)
    assert any("out of memory" in note for note in read("interleaved_log.txt").notes)


def test_nan_and_infinity_are_nothing_measured():
    row = read("v3_nan_inf.json").rows[0]
    assert row.out_of_place == Figures(time_us=None, algbw=None, busbw=None, wrong=None)
    assert row.in_place == Figures(time_us=0.5, algbw=None, busbw=0.25, wrong=None)
    assert read("v3_nan_inf.json").largest is None


def test_json_and_text_of_a_run_say_the_same():
    text, whole = read("b200_good.txt"), read("v3.json")
    assert [r.size_bytes for r in text.rows[::2]] == [r.size_bytes for r in whole.rows[:2]]
    for a, b in zip(text.rows[::2], whole.rows, strict=False):
        assert a.best.time_us == pytest.approx(b.best.time_us, rel=1e-3)
        assert (a.count, a.dtype, a.redop, a.root) == (b.count, b.dtype, b.redop, b.root)


@pytest.mark.parametrize("name", ["v3.json", "b200_good.txt"])
def test_cut_anywhere_it_is_read_or_refused_and_never_whole(name):
    text = (FIXTURES / name).read_text()
    footer = text.rindex("Out of bounds") if name.endswith("txt") else len(text) - 1
    known = read(name).rows
    for cut in range(1, footer, 7):
        try:
            sweep = parse_output(text[:cut])
        except InputError:
            continue
        assert not sweep.complete
        assert sweep.rows == known[: len(sweep.rows)]


def test_another_operation_than_asked_is_refused():
    assert read_output(FIXTURES / "old_2.13.txt", operation="broadcast").operation == "broadcast"
    with pytest.raises(InputError, match="all_reduce"):
        read_output(FIXTURES / "v3.json", operation="broadcast")


@pytest.mark.parametrize("cut", [None, 400, 300])
def test_secrets_leave_the_file_and_nothing_else_does(cut):
    text = (FIXTURES / "v3_secrets.json").read_text()[:cut]
    scrubbed = scrub_env(text, keep=may_keep)
    for part in ("TOKEN", "API_KEY", "not-a-real", "AWS", "PATH=", "QUOTED"):
        assert part not in scrubbed
    if cut is None:
        told, before = json.loads(scrubbed), json.loads(text)
        assert told.pop("env") == ["NCCL_IB_HCA=mlx5_0,mlx5_1", "NCCL_DEBUG=WARN"]
        before.pop("env")
        assert told == before


@given(st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126)), max_size=6))
def test_no_value_of_a_variable_breaks_out(values):
    env = [f"A_TOKEN={value}" for value in values] + ["NCCL_DEBUG=INFO"]
    text = json.dumps({"version": 3, "args": [], "env": env, "nccl_version": 1})
    assert json.loads(scrub_env(text, keep=may_keep))["env"] == ["NCCL_DEBUG=INFO"]


def test_a_sweep_survives_json():
    for name in (*WHOLE, *BROKEN):
        sweep = read(name)
        assert sweep_from_dict(json.loads(json.dumps(sweep_to_dict(sweep)))) == sweep
    with pytest.raises(InputError):
        sweep_from_dict({"operation": "all_reduce"})


def test_factors_make_busbw_of_algbw():
    for name in ("all_types_2.18.txt", "all_gather_two_nodes.txt", "v3.json", "scientific.txt"):
        sweep = read(name)
        factor = OPERATIONS[sweep.operation].busbw_factor(sweep.num_ranks or 0)
        for row in sweep.rows:
            assert row.best.busbw == pytest.approx((row.best.algbw or 0) * factor, rel=2e-3)


def test_the_largest_size_is_what_counts():
    assert read("v3.json").largest.size_bytes == 16 * GIB
    assert read("in_place_only.txt").largest.size_bytes == MIB
