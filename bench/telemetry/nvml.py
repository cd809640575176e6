"""NVML: every question asked alone, so that one an old driver refuses takes no other with it.

Not measured on GPU: documented calls of ``nvml.h``, tested on a stand-in.
"""

import ctypes
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from types import ModuleType
from typing import Any

import pynvml

from bench.telemetry.fields import BY_NAME, clean
from bench.telemetry.stream import Rows, SourceError
from pipeline.core.nvml import Nvml, open_nvml

ALL_LINKS = 0xFFFFFFFF
"""Scope of an NVLink field that is the sum over links."""
XID_EVENTS = 0x8
MAX_EVENTS = 64
POLICIES = {"power": 0, "thermal": 1, "sync_boost": 2, "board_limit": 3, "reliability": 5}
"""``nvmlPerfPolicyType_t``; times are in ns."""
SIMPLE: dict[str, tuple[str, tuple[int, ...], float]] = {
    "power_w": ("DeviceGetPowerUsage", (), 1e-3),
    "power_limit_w": ("DeviceGetEnforcedPowerLimit", (), 1e-3),
    "temperature_c": ("DeviceGetTemperature", (0,), 1.0),
    "sm_clock_mhz": ("DeviceGetClockInfo", (1,), 1.0),
    "memory_clock_mhz": ("DeviceGetClockInfo", (2,), 1.0),
    "energy_j": ("DeviceGetTotalEnergyConsumption", (), 1e-3),
    "ecc_corrected_volatile": ("DeviceGetTotalEccErrors", (0, 0), 1.0),
    "ecc_uncorrected_volatile": ("DeviceGetTotalEccErrors", (1, 0), 1.0),
    "ecc_corrected_aggregate": ("DeviceGetTotalEccErrors", (0, 1), 1.0),
    "ecc_uncorrected_aggregate": ("DeviceGetTotalEccErrors", (1, 1), 1.0),
    "pcie_replays": ("DeviceGetPcieReplayCounter", (), 1.0),
}
"""Our name to a call, its arguments after the device, and the scale to our unit."""
FIELD_VALUES: dict[str, tuple[int, int, float]] = {
    "memory_temperature_c": (82, 0, 1.0),
    "nvlink_crc_flit_errors": (38, 0, 1.0),
    "nvlink_crc_data_errors": (45, 0, 1.0),
    "nvlink_replays": (52, 0, 1.0),
    "nvlink_recoveries": (59, 0, 1.0),
    "nvlink_tx_bytes": (138, ALL_LINKS, 1024.0),
    "nvlink_rx_bytes": (139, ALL_LINKS, 1024.0),
}
"""Our name to an ``NVML_FI_DEV_`` number, its scope, and the scale (throughput is in KiB)."""
MEMBERS = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")
"""``nvmlValue_t`` by ``nvmlValueType_t``."""


class NvmlSource:
    """GPUs as the driver's own library sees them.

    Args:
        uuids: GPUs to sample; None: all this process sees.
        library: ``pynvml`` or what stands in for it.

    Raises:
        SourceError: There is no driver, or none of the GPUs.
    """

    name = "nvml"

    def __init__(
        self, *, uuids: Collection[str] | None = None, library: ModuleType | Any = pynvml
    ) -> None:
        self._stack = ExitStack()
        nvml = self._stack.enter_context(open_nvml(library))
        if nvml is None:
            raise SourceError("NVML: no driver answers")
        self._nvml: Nvml = nvml
        named = {
            str(nvml.ask("DeviceGetUUID", handle) or index): handle
            for index, handle in enumerate(nvml.handles)
        }
        self._gpus = {u: handle for u, handle in named.items() if uuids is None or u in uuids}
        if not self._gpus:
            self._stack.close()
            raise SourceError("NVML: shows none of this job's GPUs")
        self._xids = dict.fromkeys(self._gpus, 0.0)
        self._events = self._listen()

    def read(self) -> Rows:
        """Return what every GPU answers now, by UUID.

        Raises:
            SourceError: No GPU answers any more.
        """
        self._hear()
        rows = {uuid: self._read_one(uuid, handle) for uuid, handle in self._gpus.items()}
        if not any(len(row) > 1 for row in rows.values()):
            raise SourceError("NVML: no GPU answers any more")
        return rows

    def close(self) -> None:
        """Let go of the library."""
        if self._events is not None:
            self._nvml.ask("EventSetFree", self._events)
        self._stack.close()

    def _read_one(self, uuid: str, handle: Any) -> dict[str, float]:
        values = {"xid": self._xids[uuid]} if self._events is not None else {}
        for name, raw, scale in self._answers(handle):
            value = clean(BY_NAME[name], raw, scale=scale)
            if value is not None:
                values[name] = value
        return values

    def _answers(self, handle: Any) -> Iterator[tuple[str, float | None, float]]:
        ask = self._nvml.ask
        for name, (call, arguments, scale) in SIMPLE.items():
            yield name, ask(call, handle, *arguments), scale
        for names, call, pick, scale in COMPOSED:
            told = ask(call, handle)
            yield from (
                (n, v, scale) for n, v in zip(names, pick(told) if told else (), strict=False)
            )
        reasons = ask("DeviceGetCurrentClocksEventReasons", handle)
        if reasons is None:
            reasons = ask("DeviceGetCurrentClocksThrottleReasons", handle)
        yield "clock_reasons", reasons, 1.0
        for reason, policy in POLICIES.items():
            told = ask("DeviceGetViolationStatus", handle, policy)
            yield f"throttled_{reason}_s", told.violationTime if told else None, 1e-9
        for name, (number, scope, scale) in FIELD_VALUES.items():
            yield name, _field_value(ask("DeviceGetFieldValues", handle, [(number, scope)])), scale

    def _listen(self) -> Any:
        """Ask to be told of XIDs from now on; None where that is not supported."""
        events = self._nvml.ask("EventSetCreate")
        if events is not None:
            for handle in self._gpus.values():
                self._nvml.ask("DeviceRegisterEvents", handle, XID_EVENTS, events)
        return events

    def _hear(self) -> None:
        for _ in range(MAX_EVENTS if self._events is not None else 0):
            event = self._nvml.ask("EventSetWait_v2", self._events, 0)
            if event is None:
                return
            uuid = self._nvml.ask("DeviceGetUUID", event.device)
            if uuid in self._xids:
                self._xids[uuid] = float(event.eventData)


def _memory(told: Any) -> tuple[float, ...]:
    return tuple(size / 2**20 for size in (told.total, told.free, told.used))


COMPOSED: tuple[tuple[tuple[str, ...], str, Callable[[Any], tuple[float, ...]], float], ...] = (
    (
        ("gpu_util_percent", "memory_util_percent"),
        "DeviceGetUtilizationRates",
        lambda told: (told.gpu, told.memory),
        1.0,
    ),
    (("vram_total_mib", "vram_free_mib", "vram_used_mib"), "DeviceGetMemoryInfo", _memory, 1.0),
    (
        (
            "rows_remapped_correctable",
            "rows_remapped_uncorrectable",
            "row_remap_pending",
            "row_remap_failed",
        ),
        "DeviceGetRemappedRows",
        tuple,
        1.0,
    ),
)
"""Calls that answer several questions at once."""


def _field_value(told: Any) -> float | None:
    """Return the number in an ``nvmlFieldValue_t``; None where the device refused it."""
    if not told or told[0].nvmlReturn or told[0].valueType >= len(MEMBERS):
        return None
    value = getattr(told[0].value, MEMBERS[told[0].valueType])
    return float(value.value if isinstance(value, ctypes._SimpleCData) else value)


def visible_uuids(
    visible: str | None, *, library: ModuleType | Any = pynvml
) -> tuple[str, ...] | None:
    """Return the UUIDs of the GPUs that ``CUDA_VISIBLE_DEVICES`` names.

    Indices are taken in the driver's order, which is CUDA's wherever all GPUs are alike. A MIG
    instance stands for its whole GPU.

    Args:
        visible: The variable; None: it is not set, so all GPUs.
        library: ``pynvml`` or what stands in for it.

    Returns:
        None where there is no driver to ask, or a name that is not among its GPUs.
    """
    with open_nvml(library) as nvml:
        if nvml is None:
            return None
        uuids = [str(nvml.ask("DeviceGetUUID", handle)) for handle in nvml.handles]
        if visible is None:
            return tuple(uuids)
        chosen = []
        for name in filter(None, (part.strip() for part in visible.split(","))):
            found = _find(name, uuids, nvml)
            if found is None:
                return None
            chosen.append(found)
        return tuple(dict.fromkeys(chosen))


def mig_is_on(uuids: Collection[str] | None, *, library: ModuleType | Any = pynvml) -> bool:
    """Return whether any of these GPUs is in slices now, whoever has them.

    Args:
        uuids: GPUs to ask; None: all this process sees.
        library: ``pynvml`` or what stands in for it.
    """
    with open_nvml(library) as nvml:
        if nvml is None:
            return False
        handles = [
            handle
            for handle in nvml.handles
            if uuids is None or nvml.ask("DeviceGetUUID", handle) in uuids
        ]
        # The mode now, and the one after a reset.
        modes = [nvml.ask("DeviceGetMigMode", handle) for handle in handles]
    return any(mode is not None and mode[0] for mode in modes)


def _find(name: str, uuids: list[str], nvml: Nvml) -> str | None:
    if name.isdigit():
        return uuids[int(name)] if int(name) < len(uuids) else None
    if name.startswith("MIG-"):
        instance = nvml.ask("DeviceGetHandleByUUID", name)
        parent = nvml.ask("DeviceGetDeviceHandleFromMigDeviceHandle", instance)
        return nvml.ask("DeviceGetUUID", parent) if parent is not None else None
    # CUDA takes the beginning of a UUID, too.
    return next((uuid for uuid in uuids if uuid.startswith(name)), None)
