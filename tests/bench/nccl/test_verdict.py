import dataclasses
from pathlib import Path

import pytest
from PIL import Image

from bench.nccl.expect import PUBLISHED, expected, published
from bench.nccl.parse import read_output
from bench.nccl.plot import plot_sweeps
from bench.nccl.result import build_result, place_for_b200
from bench.nccl.sweep import GIB, MIB, OPERATIONS, Figures, Sweep, SweepRow
from bench.nccl.table import format_sweep
from bench.nccl.verdict import Level, judge, nvls_gains
from bench.places import baseline_path
from bench.record import Conditions, read_result, write_result

FIXTURES = Path(__file__).parent / "fixtures"
PLACE = Path(__file__).parents[3] / "bench" / "baselines" / "nccl.8_x_nvidia_b200.cuda.json"


def sweep(busbw, *, size=8 * GIB, **changes):
    figures = Figures(time_us=100.0, algbw=busbw / 1.75, busbw=busbw, wrong=0)
    row = SweepRow(size_bytes=size, count=size // 4, dtype="float", out_of_place=figures)
    whole = Sweep(
        operation="all_reduce", tool="nccl-tests", rows=(row,), num_ranks=8, num_nodes=1,
        device="NVIDIA B200", nvls=True, complete=True,
    )  # fmt: skip
    return dataclasses.replace(whole, **changes)


@pytest.mark.parametrize(
    ("busbw", "nvls", "level"),
    [
        (839, True, Level.ok), (780, True, Level.warn), (700, True, Level.fail),
        (682, False, Level.ok), (630, False, Level.warn), (590, False, Level.fail),
    ],
)  # fmt: skip
def test_gates_on_eight_b200(busbw, nvls, level):
    assert judge(sweep(busbw, nvls=nvls)).level is level


def test_a_verdict_names_found_expected_size_and_source():
    text = judge(sweep(839)).text
    assert "839 of 838-846 GB/s expected at 8 GiB" in text
    assert "stas00" in text


def test_a_short_sweep_is_not_judged():
    assert judge(sweep(300, size=128 * MIB)).level is Level.none


def test_wrong_elements_and_half_sweeps_fail_however_fast():
    assert judge(sweep(900, complete=False, notes=("died",))).level is Level.fail
    assert judge(sweep(900, out_of_bounds=1)).level is Level.fail
    assert judge(sweep(900, rows=())).level is Level.fail


@pytest.mark.parametrize(
    "device", ["CPU", None, "NVIDIA GB200", "NVIDIA H100 PCIe", "NVIDIA H100 NVL", "NVIDIA A100"]
)
def test_other_hardware_is_not_held_to_it(device):
    assert judge(sweep(1.0, device=device)).level is Level.none


def test_over_nodes_the_network_decides():
    over_nodes = sweep(100, size=16 * GIB, num_ranks=32, num_nodes=4)
    assert judge(over_nodes).level is Level.none
    assert "382" in judge(over_nodes).text


def test_gain_is_told_of_pairs_at_one_size():
    on, off = sweep(839), sweep(682, nvls=False)
    assert nvls_gains([on, off]) == ["all_reduce of 8: NVLS gain 1.23x at 8 GiB"]
    assert nvls_gains([on]) == nvls_gains([off]) == []
    assert nvls_gains([on, sweep(682, nvls=False, size=MIB)]) == []


def test_every_published_figure_is_found_and_has_a_source():
    for each in PUBLISHED:
        found = expected(
            f"NVIDIA {each.gpu}", each.operation, num_ranks=each.num_ranks,
            num_nodes=each.num_nodes, nvls=each.nvls, size_bytes=each.size_bytes,
        )  # fmt: skip
        assert found == each
        assert each.source
        assert each.operation in OPERATIONS
        assert each.fail_below < each.warn_below < each.low <= each.high


def test_published_figures_grow_with_size():
    found = published("NVIDIA B200", "all_reduce", num_ranks=8, num_nodes=1, nvls=True)
    assert [each.low for each in found] == sorted(each.low for each in found)
    assert len(found) > 5


def test_a_table_of_ours_reads_back_as_nccl_tests(tmp_path):
    for name in ("b200_good.txt", "in_place_only.txt", "b200_alltoall_na.txt", "v3.json"):
        before = read_output(FIXTURES / name)
        (tmp_path / name).write_text(format_sweep(before))
        after = read_output(tmp_path / name)
        assert len(after.rows) == len(before.rows)
        for a, b in zip(after.rows, before.rows, strict=True):
            assert (a.size_bytes, a.count, a.dtype) == (b.size_bytes, b.count, b.dtype)
            assert (a.out_of_place is None) == (b.out_of_place is None)
            assert a.best.busbw == pytest.approx(b.best.busbw, abs=0.01)
            assert a.in_place.wrong == b.in_place.wrong


def test_a_half_sweep_is_not_shown_as_a_whole_one():
    assert "Out of bounds" not in format_sweep(read_output(FIXTURES / "half_line.txt"))


def test_a_chart_is_a_picture_and_the_same_again(tmp_path):
    whole = dataclasses.replace(read_output(FIXTURES / "v3.json"), nvls=True)
    off = dataclasses.replace(read_output(FIXTURES / "b200_slow_srun_label.txt"), nvls=False)
    for name in ("a.png", "b.png"):
        plot_sweeps([whole, off, Sweep(operation="alltoall", tool="")], tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as image:
        assert image.width > image.height > 300


def test_a_message_too_small_for_all_ranks_is_shown_and_neither_drawn_nor_judged(tmp_path):
    whole = read_output(FIXTURES / "size_zero.txt")
    nothing = dataclasses.replace(whole, rows=whole.rows[:2])
    assert [row.size_bytes for row in whole.rows] == [0, 0, 128, MIB]
    (tmp_path / "table.txt").write_text(format_sweep(whole))
    assert read_output(tmp_path / "table.txt").rows == whole.rows
    assert judge(whole).level is Level.none
    # Nothing has moved, so nothing was measured.
    assert judge(nothing).level is Level.fail
    for sweep, name in ((whole, "a.png"), (nothing, "b.png")):
        plot_sweeps([sweep], tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_a_result_holds_headlines_tables_and_the_library(tmp_path):
    whole = dataclasses.replace(read_output(FIXTURES / "v3.json"), nvls=True)
    result = build_result(
        [whole, Sweep(operation="alltoall", tool="", num_ranks=8)],
        conditions=Conditions(hardware="8 x NVIDIA B200", device="cuda"),
        settings={"num_iterations": 20, "num_warmup": 5}, command="x", commit=None,
        is_dirty=False, measured="2026-11-25T00:00:00+00:00",
    )  # fmt: skip
    head, lost = result.rows
    assert (head.name, head.median, head.ceiling) == ("all_reduce.8.nvls_on", 845.7, 838)
    assert head.fraction == pytest.approx(845.7 / 838, rel=1e-5)
    assert lost.median is None
    assert "2.27.7" in result.conditions.versions.values()
    write_result(tmp_path / "a.json", result)
    assert read_result(tmp_path / "a.json").extra["sweeps"][0]["rows"][2]["size_bytes"] == 16 * GIB
    assert baseline_path(Path(), result).name == "nccl.8_x_nvidia_b200.cuda.json"


def test_the_place_for_a_dgx_b200_is_what_the_code_makes_and_empty():
    place = read_result(PLACE)
    assert place == place_for_b200()
    assert place.measured is None
    assert {row.median for row in place.rows} == {None}
    assert len({row.name for row in place.rows}) == len(place.rows) == 36
