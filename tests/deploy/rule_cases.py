"""When each alert must fire, and the nearest states in which it must not, as promtool's series.

Values are what DCGM would show, four a minute; rules are evaluated once a minute. The name of a
field stands for both its names, one test each. Minutes are those of Prometheus 2: from 3.0 on a
range leaves out its oldest sample.
"""

from dataclasses import dataclass

Series = dict[str, str]
COUNT = "DCGM_EXP_XID_ERRORS_COUNT"
HARMLESS = (0, 43, 63, 92, 121)
BLANK = "9223372036854775794x400"
"""DCGM's blank of 64 bits: a GPU that has no such field, or no longer answers."""
ZERO, ONE = "0x400", "1x400"
FLAT, ONCE = "5x400", "0x100 1x300"
"""ONCE is the first error ever, between minute 25 and 26."""
RESET, RESET_ONCE = "5x100 0x300", "5x100 1x300"
"""A driver was loaded again, and with the second an error came at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Series, and how many alerts fire at some minutes of them."""

    series: Series
    firing: dict[int, int]


def fires(series: Series, at: int, until: int = 0, count: int = 1) -> Case:
    """From this minute on, not the one before; up to and with ``until`` where one is given."""
    before = {at - 1: 0} if at else {}
    after = {until: count, until + 1: 0} if until else {}
    return Case(series=series, firing={**before, at: count, **after})


def silent(series: Series) -> Case:
    return Case(series=series, firing={100: 0})


def gpu(name: str, host: str = "dgx1", index: int = 0, job: str = "7", part: str = "") -> str:
    labels = f'hostname="{host}",gpu="{index}",hpc_job="{job}"'
    return f'{name}{{{labels},GPU_I_ID="{part}"}}' if part else f"{name}{{{labels}}}"


def everywhere(name: str, values: str) -> Series:
    """On four GPUs of two hosts, each of which is to be told apart."""
    return {gpu(name, host, index): values for host in ("dgx1", "dgx2") for index in (0, 1)}


def job(name: str, run: str = "r", kind: str = "train", host: str = "dgx1") -> str:
    return f'dgx_pixels_{name}{{run="{run}",kind="{kind}",hostname="{host}"}}'


def disk(name: str, kind: str = "ext4") -> str:
    return f'node_filesystem_{name}_bytes{{hostname="dgx1",mountpoint="/raid",fstype="{kind}"}}'


def up(name: str) -> str:
    return f'up{{job="{name}",instance="dgx1:9400"}}'


def vram(used: int, free: int, reserved: int, part: str = "") -> Series:
    held = {"used": used, "free": free, "reserved": reserved}
    return {gpu(f"vram_{name}_mib", part=part): f"{value}x400" for name, value in held.items()}


def from_20(name: str, a_sample: str) -> Series:
    """Nothing for 20 minutes; then a window of five is full of it at minute 26."""
    return everywhere(name, f"0x80 0+{a_sample}x400")


def through_reset(name: str, a_sample: str, at: int) -> Case:
    """As before, and at minute 40 the driver is loaded again: a counter from 0, still growing."""
    series = {gpu(name): f"0x80 0+{a_sample}x80 0+{a_sample}x300"}
    return Case(series=series, firing={at: 1, at + 12: 1})


def steady(name: str, a_sample: str) -> Series:
    return {gpu(name): f"0+{a_sample}x400"}


XID_CLASSES = {
    "GpuXidIsolate": (54,),
    "GpuXidReboot": (79, 151, 168),
    "GpuXidReset": (48, 64, 74, 95, 109, 110, 119, 120, 136, 140, 143, 155, 156, 158),
    "GpuXidNvlink": (144, 145, 146, 147, 148, 149, 150),
    "GpuXidRecovery": (154,),
    "GpuXidApplication": (13, 31, 94, 126),
    "GpuXidUnknown": (14, 131, 999),
}
"""Written down twice, here and in the table, so that no code leaves its class unseen."""


def xid(code: int, host: str = "dgx1", index: int = 0) -> str:
    return f'{COUNT}{{hostname="{host}",gpu="{index}",xid="{code}"}}'


SEEN_ONCE, NEVER = "0x40 1 0x300", ZERO
"""One sample, at 10:15: five minutes of it are the minutes 11 to 15."""
XIDS: Series = {
    **{xid(code): SEEN_ONCE for code in (*HARMLESS, *sum(XID_CLASSES.values(), ()))},
    # A GPU without any has a row without a code; here one that must not be taken for one.
    f'{COUNT}{{hostname="dgx1",gpu="2"}}': ONE,
}
XID_CASES = {
    name: (
        fires(XIDS, at=11, until=15, count=len(codes)),
        fires({xid(codes[0], host, index): SEEN_ONCE for host in ("dgx1", "dgx2")
               for index in (0, 1)}, at=11, count=4),
        silent({xid(codes[0]): NEVER}),
    )
    for name, codes in XID_CLASSES.items()
}  # fmt: skip

GREW = {
    "GpuEccUncorrected": "ecc_uncorrected_volatile",
    "GpuRowRemapped": "rows_remapped_uncorrectable",
    "Nvlink5RecoveryFailed": "nvlink_recovery_failed",
    "Nvlink5Errors": "nvlink_rx_errors",
    "Nvlink5Malformed": "nvlink_malformed",
    "Nvlink5Effective": "nvlink_effective_errors",
    "Nvlink4CrcErrors": "nvlink_crc_flit_errors",
    "Nvlink4Replays": "nvlink_replays",
    "Nvlink4Recoveries": "nvlink_recoveries",
}
NO_DISKS = ("tmpfs", "overlay", "squashfs", "ramfs")
IDLE, ENERGY = gpu("engine_active_percent"), gpu("energy_j")
QUEUED = 'dgx_pixels_queue_given_up{run="t/q"}'
UNREADABLE = 'node_textfile_scrape_error{hostname="dgx1"}'
STALE: Series = {job("progress_timestamp_seconds"): "60x400"}

CASES: dict[str, tuple[Case, ...]] = {
    **XID_CASES,
    **{
        alert: (
            fires(everywhere(name, ONCE), at=26, until=40, count=4),
            fires({gpu(name): RESET_ONCE}, at=26, until=40),
            silent({gpu(name): FLAT}),
            silent({gpu(name): RESET}),
            silent({gpu(name): f"5x100 {BLANK}"}),
        )
        for alert, name in GREW.items()
    },
    "GpuAllocatedIdle": (
        fires(everywhere("engine_active_percent", "0.149x400"), at=30, count=4),
        # Of 31 minutes five may be at 90 % for 15 % in the middle: so from 66 on.
        fires({IDLE: "0.9x160 0x400"}, at=96),
        silent({IDLE: "0.15x400"}),
        silent({gpu("engine_active_percent", job=""): ZERO}),
    ),
    "GpuVramNearlyFull": (
        fires(vram(951, 39, 10), at=10),
        # Parts of one GPU, of which one is full.
        fires({**vram(951, 39, 10, part="1"), **vram(400, 590, 10, part="2")}, at=10),
        # What the driver keeps is part of the whole: of used and free this would be 96 %.
        silent(vram(950, 40, 10)),
        silent(vram(400, 590, 10)),
    ),
    # Nanoseconds a 15 s sample: 7.5e8 is 5 % of the time.
    "GpuThrottledByHeat": tuple(
        case
        for name in ("throttled_thermal_s", "throttled_sw_thermal_s", "throttled_hw_thermal_s")
        for case in (
            fires(from_20(name, "7.6e8"), at=31, count=4),
            through_reset(name, "1.5e9", at=31),
            silent(steady(name, "7.4e8")),
            silent({gpu(name): f"0x80 {BLANK}"}),
        )
    ),
    "GpuPowerBrake": (
        fires(from_20("throttled_hw_power_brake_s", "1.52e8"), at=27, count=4),
        through_reset("throttled_hw_power_brake_s", "3e8", at=31),
        silent(steady("throttled_hw_power_brake_s", "1.48e8")),
        silent({gpu("throttled_hw_power_brake_s"): f"0x80 {BLANK}"}),
    ),
    "GpuThrottledByPower": (
        fires(from_20("throttled_power_s", "7.51e9"), at=56, count=4),
        through_reset("throttled_power_s", "1.5e10", at=56),
        silent(steady("throttled_power_s", "7.4e9")),
    ),
    "DcgmValuesFrozen": (
        fires({ENERGY: "9e6x400"}, at=6),
        fires({ENERGY: "9e6+1e3x80 9.08e6x300"}, at=35),
        fires({ENERGY: "9e6x400", gpu("energy_j", "dgx2"): "9e6+1e3x400"}, at=6),
        silent({ENERGY: "9e6+1x400"}),
        silent({ENERGY: f"9e6+1e3x80 {BLANK}"}),
        silent({ENERGY: "9e6x400", gpu("energy_j", index=1): "9e6+1e3x400"}),
    ),
    "GpuRowRemapPending": (
        fires(everywhere("row_remap_pending", ONE), at=5, count=4),
        silent({gpu("row_remap_pending"): ZERO}),
        silent({gpu("row_remap_pending"): BLANK}),
    ),
    "GpuRowRemapFailed": (
        fires(everywhere("row_remap_failed", ONE), at=0, count=4),
        silent({gpu("row_remap_failed"): ZERO}),
        silent({gpu("row_remap_failed"): BLANK}),
    ),
    "GpuXidUncounted": (
        fires(everywhere("xid", "0x100 79x300"), at=26, until=35, count=4),
        fires({gpu("xid"): "79x100 1x300"}, at=26, until=35),
        fires({gpu("xid"): "0x100 79x300", gpu(COUNT, index=1): ZERO}, at=26),
        fires({gpu("xid"): "0x100 79x300", gpu(COUNT, "dgx2"): ZERO}, at=26),
        silent({gpu("xid"): "0x100 79x300", gpu(COUNT, job="8"): ZERO}),
        silent({gpu("xid"): "79x400"}),
        silent({gpu("xid"): f"0x100 {BLANK}"}),
        # After a reset there is none any more.
        silent({gpu("xid"): "79x100 0x300"}),
    ),
    "JobFailed": (
        fires({job("failed"): ONE, job("failed", run="s"): ONE}, at=0, count=2),
        silent({job("failed"): ZERO}),
    ),
    "QueuedRunGivenUp": (
        fires({QUEUED: "0x40 1x300"}, at=11),
        silent({QUEUED: ZERO}),
    ),
    "JobRestartsOften": (
        fires({job("restarts_total"): "0x240 1x359 2x359 3x600"}, at=241, until=420),
        # The run was given in again between: each job counts from 0.
        fires({job("restarts_total"): "0x240 1x119 2x119 0x119 1x600"}, at=151),
        silent({job("restarts_total"): "0x30 1x30 2x300"}),
        silent({job("restarts_total"): "0x240 1x119 0x119 1x600"}),
    ),
    # Time in promtool begins at 0: no progress since second 60.
    "JobStuck": (
        fires({**STALE, job("running"): ONE}, at=22),
        silent({**STALE, job("running"): ZERO, job("running", run="s"): ONE,
                job("running", kind="generate"): ONE, job("running", host="dgx2"): ONE}),
        # A kind of job that tells of no progress between its beginning and its end.
        silent({job("progress_timestamp_seconds", kind="evaluate"): "60x400",
                job("running", kind="evaluate"): ONE}),
    ),
    "JobMetricsUnreadable": (fires({UNREADABLE: ONE}, at=5), silent({UNREADABLE: ZERO})),
    "DiskNearlyFull": (
        fires({disk("avail"): "9.95x400", disk("size"): "100x400"}, at=5),
        silent({disk("avail"): "10x400", disk("size"): "100x400"}),
        silent({disk("avail"): "50x400", disk("size"): "100x400"}),
        *(silent({disk("avail", kind): ONE, disk("size", kind): "100x400"}) for kind in NO_DISKS),
    ),
    "DiskFullInFourHours": (
        # 4000 a minute are 960000 in four hours: too much for what is left from minute 11 on.
        fires({disk("avail"): "1002000-1000x400"}, at=41),
        # An hour level, then 6000 a minute: the line through the last hour reaches 0 from 94 on.
        fires({disk("avail"): "1000000x240 998500-1500x400"}, at=124),
        silent({disk("avail"): "1000000-100x400"}),
        *(silent({disk("avail", kind): "1002000-1000x400"}) for kind in NO_DISKS),
    ),
    "ExporterDown": (
        *(fires({up(name): ZERO}, at=5) for name in ("dcgm", "node", "node-exporter", "queue")),
        silent({up("dcgm"): ONE}),
        silent({up("slurm-jobs"): ZERO}),
    ),
    "ExporterMissing": (fires({up("node"): ONE}, at=5), silent({up("dcgm"): ZERO})),
}  # fmt: skip
