from pathlib import Path

import pytest

from bench.telemetry.dcgm import DmonParser, read_discovery, read_exporter, read_field_list
from bench.telemetry.dmon import SmiParser

FIXTURES = Path(__file__).parent / "fixtures"
TAGS = read_field_list((FIXTURES / "dcgmi_list.txt").read_text())
A, B = (f"GPU-{letter * 8}-0000-0000-0000-000000000000" for letter in "ab")

Row = tuple[str, dict[str, float]]


def rows(parser: DmonParser | SmiParser, name: str) -> list[Row]:
    text = (FIXTURES / name).read_text()
    return [row for row in map(parser.line, text.splitlines(keepends=True)) if row is not None]


def test_dcgm_is_read_by_field_id() -> None:
    found = rows(DmonParser(TAGS), "dcgmi_healthy.txt")
    assert [gpu for gpu, _ in found] == ["0", "1", "0"]
    values = found[0][1]
    assert values["energy_j"] == 1_000_000.0
    assert values["throttled_power_s"] == 1.0
    assert values["tensor_active_percent"] == pytest.approx(43.1)
    assert (values["clock_reasons"], values["xid"], values["nvlink_tx_bytes"]) == (4, 0, 5000)
    assert found[2][1]["energy_j"] - values["energy_j"] == pytest.approx(702.0)


def test_the_list_of_this_dcgm_wins_over_the_names_we_know() -> None:
    parser = DmonParser({"GPUTL": 150})
    parser.line("#Entity   GPUTL   TMPTR\n")
    assert parser.line("GPU 0     61      60\n") == ("0", {"temperature_c": 61.0})
    without_list = DmonParser()
    without_list.line("#Entity   GPUTL   TMPTR\n")
    assert without_list.line("GPU 3     61      60\n") == (
        "3",
        {"gpu_util_percent": 61.0, "temperature_c": 60.0},
    )


def test_blanks_other_entities_and_half_lines_of_dcgm_are_left_out() -> None:
    assert rows(DmonParser(TAGS), "dcgmi_odd.txt") == [
        ("0", {"temperature_c": 61.0, "power_w": 702.125}),
        ("1", {"temperature_c": 60.0}),
    ]


def test_a_row_before_any_header_means_nothing() -> None:
    assert DmonParser(TAGS).line("GPU 0     98   0.9\n") is None
    assert SmiParser().line("    0     64     30\n") is None


def test_lists_of_dcgm_are_read() -> None:
    assert TAGS["TOTEC"] == 156
    assert TAGS["NLTXB"] == 1201
    assert len(TAGS) == 18
    text = (FIXTURES / "dcgmi_discovery.txt").read_text()
    assert read_discovery(text) == {"0": A, "1": B}


def test_both_families_of_names_on_a_page_of_the_exporter_are_the_same_fields() -> None:
    old, new = (
        read_exporter((FIXTURES / f"exporter_{name}.txt").read_text()) for name in ("old", "new")
    )
    assert old.keys() == new.keys() == {"dgx1"}
    assert old["dgx1"].keys() == {"GPU-a"}
    common = {"temperature_c": 61.0, "energy_j": 123.456, "tensor_active_percent": 43.1}
    assert old["dgx1"]["GPU-a"] == pytest.approx(common | {"gpu_util_percent": 98.0})
    # GPU_UTIL_RATIO may be of 1 or of 100: it is not read.
    assert new["dgx1"]["GPU-a"] == pytest.approx(common | {"nvlink_tx_bytes": 5000.0})


def test_nvidia_smi_is_read_by_its_header() -> None:
    found = rows(SmiParser(), "smi_a100.txt")
    assert [gpu for gpu, _ in found] == ["0", "1", "0"]
    assert found[2][1] == {
        "power_w": 76.0, "temperature_c": 30.0, "memory_temperature_c": 46.0,
        "gpu_util_percent": 0.0, "memory_util_percent": 0.0, "memory_clock_mhz": 1593.0,
        "sm_clock_mhz": 1275.0, "vram_used_mib": 452.0,
    }  # fmt: skip
    (timed,) = rows(SmiParser(), "smi_v100_time.txt")
    assert timed[0] == "0"
    assert (timed[1]["vram_used_mib"], timed[1]["power_w"]) == (4198.0, 130.0)
    ((_, dashed),) = rows(SmiParser(), "smi_dash.txt")
    assert "memory_temperature_c" not in dashed
    assert dashed["vram_used_mib"] == 433.0


def test_columns_of_nvidia_smi_may_come_in_any_order_with_commas() -> None:
    found = dict(rows(SmiParser(), "smi_csv.txt"))
    assert found["0"]["gpu_util_percent"] == 97.0
    assert found["0"]["memory_temperature_c"] == 70.0
    assert "memory_temperature_c" not in found["1"]
    assert found["1"]["vram_used_mib"] == 81235.0
