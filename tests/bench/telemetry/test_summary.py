import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from bench.telemetry.cost import Prices, with_cost
from bench.telemetry.sampler import FORMAT
from bench.telemetry.summary import Segment, read_segments, summarise
from bench.telemetry.totals import add_up

HEAD = {"format": FORMAT, "attempt": "1", "node": "dgx1", "source": "nvml", "interval_s": 1.0}


def segment(rows: list[dict[str, dict[str, float]]], **head: Any) -> Segment:
    """One sample a second of GPUs by name."""
    made = Segment(HEAD | head)
    for at_s, gpus in enumerate(rows):
        made.add({"t_s": at_s, "host": {"cpu_s": 2.0 * at_s, "rss_mib": 100.0}, "gpus": gpus})
    return made


def one(values: list[dict[str, float]]) -> dict[str, Any]:
    return summarise([segment([{"a": row} for row in values])])


def test_levels_peaks_and_counters_are_summed_over_gpus_and_nodes() -> None:
    rows = [
        {"a": {"power_w": 100.0 * i, "vram_used_mib": 10.0, "energy_j": 500.0 * i},
         "b": {"power_w": 100.0 * i, "vram_used_mib": 10.0 + i, "energy_j": 700.0 * i}}
        for i in range(5)
    ]  # fmt: skip
    told = summarise([segment(rows), segment(rows, node="dgx2")])
    assert (told["nodes"], told["gpus"], told["samples"]) == (2, 4, 10)
    assert told["energy_j"] == 2 * 4 * 1200.0
    assert told["energy_of"] == "GPUs"
    assert told["energy_why"] is None
    assert told["levels"]["power_w"] == {"mean": 200.0, "p95": 400.0, "max": 400.0}
    assert told["vram_peak_mib"] == 14.0
    assert (told["gpu_s"], told["sampled_s"], told["cpu_s"]) == (16.0, 4.0, 16.0)


def test_power_is_never_summed_in_place_of_a_counter() -> None:
    told = one([{"power_w": 700.0}] * 10)
    assert told["energy_j"] is None
    assert "counter" in told["energy_why"]
    assert told["levels"]["power_w"]["mean"] == 700.0


def test_a_driver_reload_in_between_is_no_loss_but_its_own() -> None:
    told = one([{"energy_j": float(j)} for j in (1000, 1500, 10, 310, 410)])
    assert told["energy_j"] == 500.0 + 400.0
    assert told["resets"] == 1


def test_gpus_without_a_counter_are_told_of() -> None:
    told = summarise([segment([{"a": {"energy_j": 5.0 * i}, "b": {"xid": 0.0}} for i in range(3)])])
    assert told["energy_j"] == 10.0
    assert told["energy_why"].startswith("1 of 2")


def test_a_mig_instance_has_no_energy_of_its_own() -> None:
    told = summarise([segment([{"a": {"energy_j": 5.0 * i}} for i in range(3)], mig=True)])
    assert told["energy_j"] is None
    assert "MIG" in told["energy_why"]


def test_throttling_comes_from_counters_else_from_samples() -> None:
    counted = one([{"throttled_power_s": 0.5 * i, "clock_reasons": 4.0} for i in range(5)])
    assert (counted["throttled_s"], counted["throttled_from"]) == ({"power": 2.0}, "counters")
    sampled = one([{"clock_reasons": float(bits)} for bits in (0, 0x4, 0x44, 0x1, 0x3)])
    assert sampled["throttled_s"] == {"sw_power_cap": 2.0, "hw_thermal": 1.0}
    assert sampled["throttled_from"] == "samples"


def test_only_xids_of_the_job_are_seen() -> None:
    """DCGM's field holds the last one for ever."""
    assert one([{"xid": float(x)} for x in (31, 31, 31)])["xids"] == []
    assert one([{"xid": float(x)} for x in (31, 31, 79, 79, 48)])["xids"] == [48, 79]
    assert one([{"xid": float(x)} for x in (0, 0, 94)])["xids"] == [94]


def test_a_gap_is_not_covered_but_counters_go_over_it() -> None:
    made = Segment(HEAD)
    for at_s, joules in ((0, 0.0), (1, 10.0), (100, 1000.0), (101, 1010.0)):
        made.add({"t_s": at_s, "host": {}, "gpus": {"a": {"energy_j": joules}}})
    told = summarise([made])
    assert (told["gpu_s"], told["sampled_s"], told["energy_j"]) == (2.0, 101.0, 1010.0)


@pytest.mark.parametrize(
    "line",
    ["", "{", "[]", "5", '{"t_s": 1}', '{"t_s": "x", "host": {}, "gpus": {}}', "\x00\x00",
     '{"t_s": 1, "host": {}, "gpus": {"a": 5}}'],
)  # fmt: skip
def test_lines_that_are_not_ours_are_counted_and_left_out(tmp_path: Path, line: str) -> None:
    path = tmp_path / "n.jsonl"
    good = json.dumps({"t_s": 3, "host": {"cpu_s": 1.0}, "gpus": {}})
    path.write_text("\n".join(["garbage", json.dumps(HEAD), line, good]) + "\n")
    (found,) = read_segments(path)
    assert found.num_samples == 1
    assert found.num_lost == (1 if line else 0)


def attempt(energy_j: float | None, *, elapsed_s: float | None = 3600.0) -> dict[str, Any]:
    """One of 8 GPUs; ``elapsed_s`` of None was killed after half an hour."""
    rows = [{"a": {"energy_j": energy_j * i} if energy_j else {}} for i in range(2)]
    told = summarise([segment(rows)])
    seconds = elapsed_s or 1800.0
    told |= {"sampled_s": seconds, "gpu_s": 8 * seconds}
    ended = {} if elapsed_s is None else {"elapsed_s": elapsed_s}
    return {"num_gpus": 8, "num_nodes": 1, "telemetry": told, **ended}


def test_a_run_is_the_sum_of_its_attempts_killed_ones_too() -> None:
    total = add_up([attempt(5000.0), attempt(3000.0, elapsed_s=None)])
    assert total["energy_j"] == 8000.0
    assert total["gpu_hours"] == 8 * 1.5
    assert total["energy_why"] is None
    assert total["coverage"] == {
        "attempts": "2 of 2", "nodes": "2 of 2", "time": 1.0, "gpu_time": 1.0,
    }  # fmt: skip


def test_what_was_not_metered_is_said() -> None:
    unmetered = {"num_gpus": 8, "num_nodes": 1, "elapsed_s": 3600.0}
    total = add_up([attempt(5000.0), unmetered])
    assert total["coverage"]["attempts"] == "1 of 2"
    assert (total["coverage"]["time"], total["coverage"]["gpu_time"]) == (0.5, 0.5)
    assert total["energy_j"] == 5000.0
    assert total["energy_why"].startswith("1 of 2 attempts")
    assert total["gpu_hours"] == 16.0
    nothing = add_up([unmetered])
    assert nothing["energy_j"] is None
    assert nothing["energy_why"] == "no attempt was metered"
    assert add_up([])["coverage"]["time"] is None


def test_one_image_and_one_lora_cost_their_share() -> None:
    totals = {"gpu_hours": 2.0, "energy_j": 7.2e6, "cpu_hours": 1.0}
    told = with_cost(totals, Prices(per_gpu_hour=3.0, per_kwh=0.25), num_images=1000, num_loras=1)
    assert (told["energy_kwh"], told["cost"], told["currency"]) == (2.0, 6.5, "EUR")
    assert told["per_image"] == {
        "count": 1000, "gpu_hours": 0.002, "cpu_hours": 0.001, "energy_j": 7200.0,
        "energy_kwh": 0.002, "cost": 0.0065,
    }  # fmt: skip
    assert told["per_lora"]["cost"] == 6.5


def test_what_has_no_price_or_no_amount_is_not_counted() -> None:
    free = with_cost({"gpu_hours": 2.0, "energy_j": 1.0}, Prices(), num_images=0, num_loras=None)
    assert (free["cost"], free["currency"]) == (None, None)
    assert "per_image" not in free
    assert "per_lora" not in free
    unknown = with_cost(
        {"gpu_hours": 2.0, "energy_j": None},
        Prices(per_gpu_hour=1.0, per_kwh=1.0),
        num_images=None,
        num_loras=None,
    )
    assert unknown["cost"] == 2.0
    assert "energy (none known)" in unknown["cost_of"]
    cpu = with_cost(
        {"gpu_hours": 0.0, "energy_j": None}, Prices(per_gpu_hour=1.0), num_images=4, num_loras=None
    )
    assert cpu["cost"] is None


def test_a_counter_that_was_read_once_is_not_known() -> None:
    told = one([{"energy_j": 500.0, "pcie_replays": 1.0, "throttled_power_s": 3.0}])
    assert told["energy_j"] is None
    assert "twice" in told["energy_why"]
    assert told["counters"] == {}
    assert told["throttled_from"] is None
    more = summarise([segment([{"a": {"energy_j": 5.0}}, {"a": {"energy_j": 9.0}}])])
    assert more["energy_j"] == 4.0


def test_shared_counters_are_nobodys() -> None:
    told = summarise([segment([{"a": {"energy_j": 5.0 * i}} for i in range(3)], shared="so")])
    assert (told["energy_j"], told["energy_of"], told["energy_why"]) == (None, None, "so")


def test_dcgms_first_xid_is_the_jobs() -> None:
    """It leaves the field blank until there was one."""
    rows = [{"a": row} for row in ({"power_w": 1.0}, {"power_w": 1.0}, {"xid": 79.0})]
    assert summarise([segment(rows, source="dcgm")])["xids"] == [79]
    # The field may be read later than the others, and then tells of one from before.
    assert summarise([segment(rows[1:], source="dcgm")])["xids"] == []
    assert summarise([segment(rows, source="nvml")])["xids"] == []


def test_levels_of_a_day_take_eight_bytes_each() -> None:
    row = {"t_s": 0, "host": {}, "gpus": {"a": {"power_w": 1.0}}}
    made = Segment(HEAD)
    tracemalloc.start()
    try:
        for at_s in range(17280):
            made.add(row | {"t_s": at_s, "gpus": {"a": {"power_w": 700.0 + at_s}}})
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used < 17280 * 16


def test_what_was_found_out_later_belongs_to_the_head() -> None:
    made = segment([{"a": {"energy_j": 1.0}}], source="process")
    made.add({"t_s": 1, "host": {}, "gpus": {}, "about": {"source": "nvml", "scope": "1 GPUs"}})
    told = summarise([made])
    assert (told["sources"], told["scopes"]) == (["nvml"], ["1 GPUs"])
    assert add_up([{"telemetry": told, "num_gpus": 1}])["scopes"] == ["1 GPUs"]


def test_energy_of_a_part_of_the_gpus_says_so() -> None:
    one_of_eight = attempt(5000.0)
    one_of_eight["telemetry"]["gpu_s"] = 3600.0
    total = add_up([one_of_eight])
    assert total["energy_j"] == 5000.0
    assert "12.5 %" in total["energy_why"]


def test_slices_are_no_number_of_gpus() -> None:
    sliced = attempt(None) | {"num_gpus": None}
    total = add_up([attempt(5000.0), sliced])
    assert total["gpu_hours"] is None
    assert total["coverage"]["gpu_time"] is None
    told = with_cost(total, Prices(per_gpu_hour=3.0), num_images=10, num_loras=None)
    assert told["cost"] is None
    assert "none known" in told["cost_of"]
    assert told["per_image"]["gpu_hours"] is None
