"""The one table of what is measured: names, units, where each comes from, what is nonsense.

Ids and names are those of DCGM: ``dcgm_fields.h`` of 4.5 (old) and 4.6 (new, where most fields
were renamed and no id was changed). Ids are therefore what is asked for; names are only read, on a
page of dcgm-exporter. ``tag`` is the column of ``dcgmi dmon``, ``smi`` that of ``nvidia-smi dmon``.
"""

import math
from dataclasses import dataclass
from enum import Enum

INF = math.inf
PERCENT = (0.0, 100.0)


class Kind(Enum):
    """How values of a field are summed up."""

    gauge = "gauge"
    """A level: mean, 95th percentile, maximum."""
    counter = "counter"
    """Only grows, until a driver is reloaded: differences."""
    bits = "bits"
    """A set of reasons: time in each."""
    last = "last"
    """The number of the last event, for ever: only changes mean something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One thing that is measured."""

    name: str
    """Ours, with its unit last."""
    about: str
    kind: Kind = Kind.gauge
    dcgm_id: int | None = None
    old: str | None = None
    """DCGM's name to 4.5, and dcgm-exporter's."""
    new: str | None = None
    """DCGM's name from 4.6; None: as before, or not to be trusted (see 203)."""
    tag: str | None = None
    smi: str | None = None
    scale: float = 1.0
    """What DCGM's value is multiplied by to be in our unit."""
    limits: tuple[float, float] = (0.0, INF)
    """In our unit; what lies outside is a sentinel or a fault, and dropped."""
    max_per_s: float | None = None
    """A counter that grows faster than this did not count, it jumped."""
    profiling: bool = False
    """Needs DCGM's profiling module, which a profiler or a missing right may deny."""


def _dev(name: str, about: str, number: int, old: str, **more: object) -> Field:
    """Return a field of the device, with the prefix all their names have."""
    new = more.pop("new", None)
    return Field(
        name=name,
        about=about,
        dcgm_id=number,
        old=f"DCGM_FI_DEV_{old}",
        new=f"DCGM_FI_DEV_{new}" if new else None,
        **more,  # type: ignore[arg-type]
    )


def _active(name: str, about: str, number: int, *, names: tuple[str, str], tag: str) -> Field:
    """Return a share of time that a unit was busy; DCGM gives 0 to 1."""
    return Field(
        name=name,
        about=about,
        dcgm_id=number,
        old=f"DCGM_FI_PROF_{names[0]}",
        new=f"DCGM_FI_PROF_{names[1]}",
        tag=tag,
        scale=100.0,
        limits=PERCENT,
        profiling=True,
    )


def _rate(name: str, about: str, number: int, *, old: str, tag: str) -> Field:
    """Return bytes a second."""
    return Field(
        name=name,
        about=about,
        dcgm_id=number,
        old=f"DCGM_FI_PROF_{old}",
        tag=tag,
        limits=(0.0, 1e13),
        profiling=True,
    )


def _count(name: str, about: str, number: int, old: str, **more: object) -> Field:
    return _dev(name, about, number, old, kind=Kind.counter, **more)


def _throttled(reason: str, about: str, number: int, *, old: str, tag: str | None = None) -> Field:
    """Return seconds of a reason. Old headers say microseconds; NVML, their source, counts ns."""
    name = f"throttled_{reason}_s"
    return _count(name, about, number, old, tag=tag, scale=1e-9, max_per_s=1.5)


FIELDS: tuple[Field, ...] = (
    # 4.6 calls 203 GPU_UTIL_RATIO, still 0 to 100; 4.7 gives that name to 1613, which is 0 to 1.
    # Under that name a 1 may be either, so it is not read.
    _dev("gpu_util_percent", "time in which any kernel ran", 203, "GPU_UTIL", tag="GPUTL",
         smi="sm", limits=PERCENT),
    _dev("memory_util_percent", "time in which device memory was read or written", 204,
         "MEM_COPY_UTIL", tag="MCUTL", smi="mem", limits=PERCENT),
    _active("engine_active_percent", "time in which any engine was busy", 1001,
            names=("GR_ENGINE_ACTIVE", "GR_ENGINE_UTIL_RATIO"), tag="GRACT"),
    _active("sm_active_percent", "multiprocessors with a warp on them", 1002,
            names=("SM_ACTIVE", "SM_UTIL_RATIO"), tag="SMACT"),
    _active("sm_occupancy_percent", "warps on the multiprocessors, of what fits", 1003,
            names=("SM_OCCUPANCY", "SM_OCCUPANCY_RATIO"), tag="SMOCC"),
    _active("tensor_active_percent", "cycles in which a tensor core worked", 1004,
            names=("PIPE_TENSOR_ACTIVE", "TENSOR_UTIL_RATIO"), tag="TENSO"),
    _active("dram_active_percent", "cycles in which device memory moved data", 1005,
            names=("DRAM_ACTIVE", "DRAM_UTIL_RATIO"), tag="DRAMA"),
    _rate("pcie_tx_bytes_per_s", "sent over PCIe, headers included", 1009,
          old="PCIE_TX_BYTES", tag="PCITX"),
    _rate("pcie_rx_bytes_per_s", "received over PCIe, headers included", 1010,
          old="PCIE_RX_BYTES", tag="PCIRX"),
    _rate("nvlink_tx_bytes_per_s", "sent over NVLink, without headers", 1011,
          old="NVLINK_TX_BYTES", tag="NVLTX"),
    _rate("nvlink_rx_bytes_per_s", "received over NVLink, without headers", 1012,
          old="NVLINK_RX_BYTES", tag="NVLRX"),
    _dev("vram_total_mib", "device memory", 250, "FB_TOTAL", tag="FBTTL"),
    _dev("vram_free_mib", "device memory that is free", 251, "FB_FREE", tag="FBFRE"),
    _dev("vram_used_mib", "device memory in use", 252, "FB_USED", tag="FBUSD", smi="fb"),
    _dev("vram_reserved_mib", "device memory the driver keeps", 253, "FB_RESERVED", tag="FBRSV"),
    _dev("power_w", "board power, averaged by the driver", 155, "POWER_USAGE",
         new="BOARD_POWER_WATTS", tag="POWER", smi="pwr", limits=(0.0, 5000.0)),
    _dev("power_limit_w", "limit that is enforced", 164, "ENFORCED_POWER_LIMIT",
         new="BOARD_POWER_LIMIT_ENFORCED_WATTS", tag="EPLMT", limits=(1.0, 5000.0)),
    _dev("temperature_c", "of the GPU", 150, "GPU_TEMP", new="GPU_TEMP_CELSIUS", tag="TMPTR",
         smi="gtemp", limits=(-50.0, 200.0)),
    _dev("memory_temperature_c", "of device memory", 140, "MEMORY_TEMP",
         new="MEMORY_TEMP_CELSIUS", tag="MMTMP", smi="mtemp", limits=(-50.0, 200.0)),
    _dev("sm_clock_mhz", "of the multiprocessors", 100, "SM_CLOCK", tag="SMCLK", smi="pclk",
         limits=(0.0, 10000.0)),
    _dev("memory_clock_mhz", "of device memory", 101, "MEM_CLOCK", tag="MMCLK", smi="mclk",
         limits=(0.0, 30000.0)),
    _dev("clock_reasons", "why clocks are below what was asked for", 112,
         "CLOCK_THROTTLE_REASONS", new="CLOCKS_EVENT_REASONS", tag="DVCCTR", kind=Kind.bits),
    _count("energy_j", "since the driver was loaded", 156, "TOTAL_ENERGY_CONSUMPTION",
           tag="TOTEC", scale=1e-3, max_per_s=5000.0),
    Field(name="energy_j", about="the same, in joules from 4.6 on", kind=Kind.counter,
          dcgm_id=1611, new="DCGM_FI_DEV_GPU_ENERGY_JOULES_TOTAL", max_per_s=5000.0),
    _throttled("power", "held back to keep the power limit", 240,
               old="POWER_VIOLATION", tag="PVIOL"),
    _throttled("thermal", "held back to keep cool", 241, old="THERMAL_VIOLATION", tag="TVIOL"),
    _throttled("sync_boost", "held back to the slowest of a group", 242,
               old="SYNC_BOOST_VIOLATION", tag="SBVIO"),
    _throttled("board_limit", "held back by the board", 243,
               old="BOARD_LIMIT_VIOLATION", tag="BLVIO"),
    _throttled("reliability", "held back for reliability", 245,
               old="RELIABILITY_VIOLATION", tag="RVIOL"),
    _throttled("sw_power_cap", "event counter: power limit", 1420,
               old="CLOCKS_EVENT_REASON_SW_POWER_CAP_NS"),
    _throttled("sw_thermal", "event counter: software, temperature", 1422,
               old="CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN_NS"),
    _throttled("hw_thermal", "event counter: hardware, temperature", 1423,
               old="CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN_NS"),
    _throttled("hw_power_brake", "event counter: the power supply's brake", 1424,
               old="CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN_NS"),
    _dev("xid", "number of the last XID error", 230, "XID_ERRORS", new="XID_ERROR", tag="XIDER",
         kind=Kind.last),
    _count("ecc_corrected_volatile", "single-bit errors since the driver was loaded", 310,
           "ECC_SBE_VOL_TOTAL", tag="ESVTL"),
    _count("ecc_uncorrected_volatile", "double-bit errors since the driver was loaded", 311,
           "ECC_DBE_VOL_TOTAL", tag="EDVTL"),
    _count("ecc_corrected_aggregate", "single-bit errors of the board's life", 312,
           "ECC_SBE_AGG_TOTAL", tag="ESATL"),
    _count("ecc_uncorrected_aggregate", "double-bit errors of the board's life", 313,
           "ECC_DBE_AGG_TOTAL", tag="EDATL"),
    _count("rows_remapped_uncorrectable", "rows replaced after double-bit errors", 393,
           "UNCORRECTABLE_REMAPPED_ROWS", new="ROW_REMAP_UNCORRECTABLE_TOTAL", tag="URMPS"),
    _count("rows_remapped_correctable", "rows replaced after single-bit errors", 394,
           "CORRECTABLE_REMAPPED_ROWS", new="ROW_REMAP_CORRECTABLE_TOTAL", tag="CRMPS"),
    _dev("row_remap_failed", "1: a row could not be replaced", 395, "ROW_REMAP_FAILURE",
         new="ROW_REMAP_FAILED", tag="RRF", limits=(0.0, 1.0)),
    _dev("row_remap_pending", "1: a row waits for a reset to be replaced", 396,
         "ROW_REMAP_PENDING", tag="RRP", limits=(0.0, 1.0)),
    _count("pcie_replays", "PCIe packets sent again", 202, "PCIE_REPLAY_COUNTER",
           new="PCIE_REPLAY_TOTAL", tag="RPCTR"),
    # NVLink 4 and older.
    _count("nvlink_crc_flit_errors", "NVLink to 4: checksum of control", 409,
           "NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL", new="NVLINK_CRC_FLIT_ERROR_TOTAL", tag="NFELT"),
    _count("nvlink_crc_data_errors", "NVLink to 4: checksum of data", 419,
           "NVLINK_CRC_DATA_ERROR_COUNT_TOTAL", new="NVLINK_CRC_DATA_ERROR_TOTAL", tag="NDELT"),
    _count("nvlink_replays", "NVLink to 4: packets sent again", 429,
           "NVLINK_REPLAY_ERROR_COUNT_TOTAL", new="NVLINK_REPLAY_ERROR_TOTAL", tag="NRELT"),
    _count("nvlink_recoveries", "NVLink to 4: link trained again", 439,
           "NVLINK_RECOVERY_ERROR_COUNT_TOTAL", new="NVLINK_RECOVERY_ERROR_TOTAL", tag="NRCLT"),
    # NVLink 5, the B200's; sums over its links.
    _count("nvlink_tx_bytes", "NVLink 5: sent", 1201, "NVLINK_COUNT_TX_BYTES",
           new="NVLINK_TX_BYTES_TOTAL"),
    _count("nvlink_rx_bytes", "NVLink 5: received", 1203, "NVLINK_COUNT_RX_BYTES",
           new="NVLINK_RX_BYTES_TOTAL"),
    _count("nvlink_malformed", "NVLink 5: malformed packets", 1204,
           "NVLINK_COUNT_RX_MALFORMED_PACKET_ERRORS", new="NVLINK_RX_PACKET_MALFORMED_TOTAL"),
    _count("nvlink_rx_errors", "NVLink 5: packets with errors", 1206, "NVLINK_COUNT_RX_ERRORS",
           new="NVLINK_RX_ERROR_TOTAL"),
    _count("nvlink_recovery_failed", "NVLink 5: recoveries that failed", 1212,
           "NVLINK_COUNT_LINK_RECOVERY_FAILED_EVENTS", new="NVLINK_RECOVERY_FAILED_TOTAL"),
    _count("nvlink_recovery_events", "NVLink 5: recoveries", 1213,
           "NVLINK_COUNT_LINK_RECOVERY_EVENTS", new="NVLINK_RECOVERY_EVENT_TOTAL"),
    _dev("nvlink_symbol_ber", "NVLink 5: symbol error rate", 1216, "NVLINK_COUNT_SYMBOL_BER_FLOAT",
         new="NVLINK_SYMBOL_BER_RATIO", limits=(0.0, 1.0)),
    _dev("nvlink_effective_ber", "NVLink 5: error rate after correction", 1218,
         "NVLINK_COUNT_EFFECTIVE_BER_FLOAT", new="NVLINK_EFFECTIVE_BER_RATIO", limits=(0.0, 1.0)),
    _count("nvlink_effective_errors", "NVLink 5: errors after correction", 1219,
           "NVLINK_COUNT_EFFECTIVE_ERRORS", new="NVLINK_EFFECTIVE_ERROR_TOTAL"),
)  # fmt: skip

HOST_FIELDS: tuple[Field, ...] = (
    Field(name="cpu_s", about="CPU time of the job's processes on the node", kind=Kind.counter),
    Field(name="rss_mib", about="memory of the job's processes, shared pages counted in each"),
    Field(name="num_processes", about="processes of the job on the node"),
    Field(
        name="cpu_energy_j",
        about="RAPL, whole packages of the node, other jobs' share included",
        kind=Kind.counter,
        max_per_s=5000.0,
    ),
)

CLOCK_REASONS = {
    0x1: "idle",
    0x2: "application_clocks",
    0x4: "sw_power_cap",
    0x8: "hw_slowdown",
    0x10: "sync_boost",
    0x20: "sw_thermal",
    0x40: "hw_thermal",
    0x80: "hw_power_brake",
    0x100: "display_clocks",
}
"""Bits of ``clock_reasons``: ``nvml.h`` and ``dcgm_fields.h`` agree."""
HARMLESS_REASONS = frozenset({"idle", "application_clocks", "display_clocks"})
"""These do not take anything from a job."""

BY_NAME = {field.name: field for field in reversed((*FIELDS, *HOST_FIELDS))}
BY_ID = {field.dcgm_id: field for field in FIELDS if field.dcgm_id is not None}
BY_TAG = {field.tag: field for field in FIELDS if field.tag is not None}
BY_SMI = {field.smi: field for field in FIELDS if field.smi is not None}
BY_DCGM_NAME = {name: field for field in FIELDS for name in (field.old, field.new) if name}

BLANKS = (
    (2.0**63 - 16, INF),  # 64-bit integers; also NVML's 2^64 - 1
    (2.0**31 - 16, 2.0**31 - 1),  # 32-bit integers
    (2.0**32 - 1, 2.0**32 - 1),  # NVML's "not available"
    (2.0**47, 2.0**47 + 3),  # doubles
)
"""DCGM's words for blank, not found, not supported, not permitted: numbers (``dcgm_structs.h``).

A counter that happens to stand at one loses that sample, no more.
"""


def clean(field: Field, raw: str | float | None, *, scale: float | None = None) -> float | None:
    """Return a value in our unit; None where the tool had nothing to say.

    Args:
        field: What it is.
        raw: As it was read: a number, or text such as ``N/A`` or ``-``.
        scale: Of this source, where it is not DCGM's.
    """
    try:
        value = float(raw)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    if math.isnan(value) or any(low <= value <= high for low, high in BLANKS):
        return None
    value *= field.scale if scale is None else scale
    return value if field.limits[0] <= value <= field.limits[1] else None
