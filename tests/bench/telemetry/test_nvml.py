from types import SimpleNamespace
from typing import Any

import pytest

from bench.telemetry.nvml import ALL_LINKS, NvmlSource, mig_is_on, visible_uuids
from bench.telemetry.stream import SourceError
from tests.fakes.nvml import FakeNvml, NVMLError, dgx_b200

NONE_LEFT = "Timeout"


def field_value(_: int, asked: list[tuple[int, int]]) -> Any:
    """NVLink throughput is told as unsigned long long in KiB; the rest is not supported."""
    ((number, scope),) = asked
    known = number == 138 and scope == ALL_LINKS
    value = SimpleNamespace(ullVal=2, dVal=0.0)
    return [SimpleNamespace(nvmlReturn=0 if known else 3, valueType=3, value=value)]


class Events:
    """A queue of XIDs, as the driver's event set."""

    def __init__(self, *events: tuple[int, int]) -> None:
        self.events = list(events)

    def wait(self, *_: Any) -> Any:
        if not self.events:
            raise NVMLError(NONE_LEFT)
        device, xid = self.events.pop(0)
        return SimpleNamespace(device=device, eventData=xid)


def b200(**more: Any) -> FakeNvml:
    energy_mj = iter(range(1_000_000, 10_000_000, 1000))
    answers = {
        "DeviceGetPowerUsage": 702_125,
        "DeviceGetTotalEnergyConsumption": lambda _: next(energy_mj),
        "DeviceGetUtilizationRates": SimpleNamespace(gpu=98, memory=41),
        "DeviceGetTemperature": lambda _, sensor: 61 if sensor == 0 else 0,
        "DeviceGetClockInfo": lambda _, kind: {1: 1965, 2: 3996}[kind],
        "DeviceGetMemoryInfo": SimpleNamespace(
            total=183359 * 2**20, free=100000 * 2**20, used=83359 * 2**20
        ),
        "DeviceGetCurrentClocksEventReasons": 4,
        "DeviceGetViolationStatus": lambda _, policy: SimpleNamespace(
            violationTime=2_000_000_000 if policy == 0 else 0
        ),
        "DeviceGetTotalEccErrors": 0,
        "DeviceGetRemappedRows": (1, 0, 0, 0),
        "DeviceGetFieldValues": field_value,
    }
    return dgx_b200(**(answers | more))


def test_a_b200_is_read_in_our_units() -> None:
    source = NvmlSource(library=b200())
    rows = source.read()
    assert sorted(rows) == [f"GPU-0000000{index}" for index in range(8)]
    row = rows["GPU-00000003"]
    assert row["power_w"] == pytest.approx(702.125)
    assert row["energy_j"] == pytest.approx(1003.0)
    assert (row["gpu_util_percent"], row["memory_util_percent"]) == (98, 41)
    assert (row["sm_clock_mhz"], row["memory_clock_mhz"]) == (1965, 3996)
    assert row["vram_used_mib"] == 83359
    assert (row["throttled_power_s"], row["clock_reasons"]) == (2.0, 4)
    assert row["rows_remapped_correctable"] == 1
    assert row["nvlink_tx_bytes"] == 2048
    # Refused by this driver: left out, and nothing else with it.
    assert "memory_temperature_c" not in row
    assert "nvlink_rx_bytes" not in row
    source.close()


def test_an_older_driver_calls_reasons_by_their_old_name() -> None:
    library = b200(DeviceGetCurrentClocksThrottleReasons=8)
    del library.answers["DeviceGetCurrentClocksEventReasons"]
    assert NvmlSource(library=library).read()["GPU-00000000"]["clock_reasons"] == 8


def test_xids_are_told_of_the_gpu_they_are_of() -> None:
    events = Events((2, 79), (2, 48), (5, 94))
    source = NvmlSource(
        library=b200(
            EventSetCreate="events", DeviceRegisterEvents=None, EventSetWait_v2=events.wait
        )
    )
    rows = source.read()
    assert [rows[f"GPU-0000000{i}"]["xid"] for i in (1, 2, 5)] == [0, 48, 94]
    # It stands there as with DCGM: the last one.
    assert source.read()["GPU-00000002"]["xid"] == 48


def test_only_the_jobs_gpus_are_read() -> None:
    source = NvmlSource(uuids=["GPU-00000004"], library=b200())
    assert list(source.read()) == ["GPU-00000004"]
    with pytest.raises(SourceError):
        NvmlSource(uuids=["GPU-other"], library=b200())


def test_without_a_driver_or_with_a_dead_one_it_says_so() -> None:
    with pytest.raises(SourceError):
        NvmlSource(library=FakeNvml(driver=False))
    library = b200()
    source = NvmlSource(library=library)
    source.read()
    for name in list(library.answers):
        if name.startswith("DeviceGet"):
            del library.answers[name]
    with pytest.raises(SourceError):
        source.read()


@pytest.mark.parametrize(
    ("visible", "indices"),
    [(None, range(8)), ("0,3", [0, 3]), ("GPU-00000005", [5]), (" 1 , 1", [1]), ("", [])],
)
def test_visible_devices_are_found(visible: str | None, indices: list[int]) -> None:
    wanted = tuple(f"GPU-0000000{i}" for i in indices)
    assert visible_uuids(visible, library=b200()) == wanted


def test_what_cannot_be_resolved_is_said() -> None:
    assert visible_uuids("0,9", library=b200()) is None
    assert visible_uuids("GPU-f", library=b200()) is None
    assert visible_uuids("0", library=FakeNvml(driver=False)) is None


def test_a_mig_instance_stands_for_its_gpu() -> None:
    library = b200(
        DeviceGetHandleByUUID=lambda name: 100 + int(name[-1]),
        DeviceGetDeviceHandleFromMigDeviceHandle=lambda handle: handle - 100,
    )
    assert visible_uuids("MIG-x-2", library=library) == ("GPU-00000002",)


def only_three(index: int) -> int:
    """A handle as where a cgroup keeps all GPUs but one from the job."""
    if index != 3:
        raise NVMLError("Insufficient Permissions")
    return index


def test_gpus_that_may_not_be_used_take_no_other_with_them() -> None:
    library = b200(DeviceGetHandleByIndex=only_three)
    # Slurm counts from 0 what a job may use.
    assert visible_uuids("0", library=library) == ("GPU-00000003",)
    assert list(NvmlSource(library=library).read()) == ["GPU-00000003"]


def test_mig_is_asked_for() -> None:
    assert not mig_is_on(None, library=b200())
    assert not mig_is_on(None, library=FakeNvml(driver=False))
    library = b200(DeviceGetMigMode=lambda gpu: [int(gpu == 2), 1])
    assert mig_is_on(None, library=library)
    assert mig_is_on(["GPU-00000002"], library=library)
    assert not mig_is_on(["GPU-00000003"], library=library)
