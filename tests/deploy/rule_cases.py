"""When each alert must fire and the nearest state in which it must not, as promtool's series.

Values are what DCGM would show. ``{name}`` of a field is put under both names, one test each.
"""

GPU = '{hostname="dgx1",gpu="0",hpc_job="7"}'
RUN = '{run="r",kind="train",hostname="dgx1"}'
DISK = '{hostname="dgx1",mountpoint="/raid",fstype="ext4"}'
SIZE = f"node_filesystem_size_bytes{DISK}"
FREE = f"node_filesystem_avail_bytes{DISK}"
TEXT = 'node_textfile_scrape_error{hostname="dgx1"}'
PROGRESS = f"dgx_pixels_progress_timestamp_seconds{RUN}"
RUNNING = f"dgx_pixels_running{RUN}"
DCGM_UP = 'up{job="dcgm",instance="dgx1:9400"}'

Series = dict[str, str]
FLAT, ONCE = "5x400", "5x100 6x300"
"""Four values a minute; ONCE grows by one at 25 minutes."""
LAST_MIN = 30

GPU_CASES: dict[str, tuple[Series, Series]] = {
    "GpuAllocatedIdle": (
        {"engine_active_percent": "0.1x400"}, {"engine_active_percent": "0.2x400"},
    ),
    "GpuVramNearlyFull": (
        {"vram_used_mib": "960x400", "vram_free_mib": "30x400", "vram_reserved_mib": "10x400"},
        # 947 of 947 + 48 would be above: what the driver keeps is part of the whole.
        {"vram_used_mib": "947x400", "vram_free_mib": "48x400", "vram_reserved_mib": "5x400"},
    ),
    # Nanoseconds a 15 s sample: 1e9 is 7 % of the time, 5e8 3 %.
    "GpuThrottledByHeat": (
        {"throttled_thermal_s": "0+1e9x400"}, {"throttled_thermal_s": "0+5e8x400"},
    ),
    "GpuPowerBrake": (
        {"throttled_hw_power_brake_s": "0+3e8x400"}, {"throttled_hw_power_brake_s": "7e9x400"},
    ),
    "GpuThrottledByPower": (
        {"throttled_power_s": "0+8e9x400"}, {"throttled_power_s": "0+7e9x400"},
    ),
    "DcgmValuesFrozen": ({"energy_j": "9e6x400"}, {"energy_j": "9e6+1e3x400"}),
    "GpuRowRemapPending": ({"row_remap_pending": "1x400"}, {"row_remap_pending": "0x400"}),
    # The second is DCGM's blank of 64 bits: a GPU that has no such field.
    "GpuRowRemapFailed": (
        {"row_remap_failed": "1x400"}, {"row_remap_failed": "9223372036854775794x400"},
    ),
    "GpuXidUncounted": ({"xid": "0x100 79x300"}, {"xid": "79x400"}),
    **{
        alert: ({name: ONCE}, {name: FLAT})
        for alert, name in {
            "GpuEccUncorrected": "ecc_uncorrected_volatile",
            "GpuRowRemapped": "rows_remapped_uncorrectable",
            "Nvlink5RecoveryFailed": "nvlink_recovery_failed",
            "Nvlink5Errors": "nvlink_rx_errors",
            "Nvlink5Malformed": "nvlink_malformed",
            "Nvlink5Effective": "nvlink_effective_errors",
            "Nvlink4CrcErrors": "nvlink_crc_flit_errors",
            "Nvlink4Replays": "nvlink_replays",
            "Nvlink4Recoveries": "nvlink_recoveries",
        }.items()
    },
}  # fmt: skip


def _xid(code: int, value: int = 1) -> Series:
    return {f'DCGM_EXP_XID_ERRORS_COUNT{{hostname="dgx1",gpu="0",xid="{code}"}}': f"{value}x400"}


OTHER_CASES: dict[str, tuple[Series, Series]] = {
    "GpuXidIsolate": (_xid(54), _xid(154)),
    "GpuXidReboot": (_xid(79), _xid(79, value=0)),
    "GpuXidReset": (_xid(48), _xid(148)),
    "GpuXidNvlink": (_xid(145), _xid(14)),
    "GpuXidRecovery": (_xid(154), _xid(54)),
    "GpuXidApplication": (_xid(13), _xid(131)),
    "GpuXidUnknown": (_xid(999), _xid(63)),
    "QueuedRunGivenUp": (
        {'dgx_pixels_queue_given_up{run="t/q"}': "1x400"},
        {'dgx_pixels_queue_given_up{run="t/q"}': "0x400"},
    ),
    "JobFailed": ({f"dgx_pixels_failed{RUN}": "1x400"}, {f"dgx_pixels_failed{RUN}": "0x400"}),
    "JobRestartsOften": (
        {f"dgx_pixels_restarts_total{RUN}": "0x30 1x30 2x30 3x300"},
        {f"dgx_pixels_restarts_total{RUN}": "0x30 1x30 2x300"},
    ),
    # Time in promtool begins at 0: no progress since second 60; a job that ended does not hang.
    "JobStuck": ({PROGRESS: "60x400", RUNNING: "1x400"}, {PROGRESS: "60x400", RUNNING: "0x400"}),
    "JobMetricsUnreadable": ({TEXT: "1x400"}, {TEXT: "0x400"}),
    "DiskNearlyFull": ({FREE: "9x400", SIZE: "100x400"}, {FREE: "11x400", SIZE: "100x400"}),
    "DiskFullInFourHours": ({FREE: "1000000-1000x400"}, {FREE: "1000000-100x400"}),
    "ExporterDown": ({DCGM_UP: "0x400"}, {DCGM_UP: "1x400"}),
    "ExporterMissing": ({'up{job="node"}': "1x400"}, {DCGM_UP: "0x400"}),
}  # fmt: skip
"""DiskFullInFourHours: 1000 a sample is 240000 an hour, empty within 4.2 h from the start."""
