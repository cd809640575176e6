"""The rows of the table that come from DCGM, less the XIDs.

A limit is the device's own word where it has one (throttling, remapping, errors that count), not a
temperature we guessed. The others are constants below.
"""

from deploy.observe.signals import Alert, Signal

VRAM_PERCENT = 95.0
IDLE_PERCENT = 15.0
"""Below it a GPU that is allocated is as good as unused: jobstats' threshold."""

_GPU = "{{hostname}} {{gpu}}"
_ON = "on {{ $labels.hostname }} GPU {{ $labels.gpu }}"
_VRAM = "gpu:vram_used_mib / (gpu:vram_used_mib + gpu:vram_free_mib + gpu:vram_reserved_mib)"
_THERMAL = ("throttled_thermal_s", "throttled_sw_thermal_s", "throttled_hw_thermal_s")


def _rate(name: str) -> str:
    return f"rate(gpu:{name}[5m])"


def _grew(name: str, about: str, alert: str, action: str, *, severity: str = "warning") -> Signal:
    """Return a counter of errors, none of which is normal."""
    return Signal(
        name=name,
        about=about,
        dashboard="nvlink" if name.startswith("nvlink") else "thermals",
        panel=about[0].upper() + about[1:],
        query=f"increase(gpu:{name}[1h])",
        legend=_GPU,
        alerts=(
            Alert(
                name=alert,
                expr=f"increase(gpu:{name}[15m]) > 0",
                hold="0m",
                severity=severity,
                summary=f"{about[0].upper()}{about[1:]} {_ON}",
                action=action,
            ),
        ),
    )


def _level(name: str, about: str, dashboard: str, unit: str, *alerts: Alert) -> Signal:
    return Signal(
        name=name,
        about=about,
        dashboard=dashboard,
        panel=about[0].upper() + about[1:],
        query=f"gpu:{name}",
        legend=_GPU,
        unit=unit,
        alerts=alerts,
    )


_CABLE = (
    "Run jobs.nccl on the node; if bandwidth is low or it comes back, drain it and call NVIDIA."
)

GPU_SIGNALS: tuple[Signal, ...] = (
    _level("gpu_util_percent", "time with a kernel (DCGM to 4.5)", "utilisation", "percent"),
    _level("engine_active_percent", "graphics engine active", "utilisation", "percent",
           Alert(name="GpuAllocatedIdle", severity="info", hold="30m",
                 expr='avg_over_time(gpu:engine_active_percent{hpc_job!=""}[30m]) '
                      f"< {IDLE_PERCENT:g}",
                 summary="Job {{ $labels.hpc_job }} hardly uses GPU {{ $labels.gpu }} of "
                         "{{ $labels.hostname }}",
                 action="Ask its owner: too many GPUs, data loading, or a hang.")),
    _level("sm_active_percent", "multiprocessors active", "utilisation", "percent"),
    _level("tensor_active_percent", "tensor cores active", "utilisation", "percent"),
    _level("dram_active_percent", "device memory active", "utilisation", "percent"),
    Signal(name="vram_used_mib", about="device memory in use", dashboard="vram",
           panel="VRAM in use", query="gpu:vram_used_mib * 1048576", unit="bytes", legend=_GPU,
           alerts=(Alert(name="GpuVramNearlyFull", expr=f"100 * {_VRAM} > {VRAM_PERCENT:g}",
                         hold="10m", summary=f"VRAM nearly full {_ON}",
                         action="The next larger batch fails: lower this job's batch size."),)),
    Signal(name="vram_free_mib", about="device memory that is free", dashboard="vram",
           panel="VRAM free", query="gpu:vram_free_mib * 1048576", unit="bytes", legend=_GPU),
    Signal(name="vram_reserved_mib", about="device memory of the driver", dashboard="vram",
           panel="VRAM in use, of all", query=f"100 * {_VRAM}", unit="percent", legend=_GPU),
    _level("temperature_c", "GPU temperature", "thermals", "celsius"),
    _level("memory_temperature_c", "memory temperature", "thermals", "celsius"),
    Signal(name="throttled_thermal_s", about="held back to keep cool", dashboard="thermals",
           panel="Time throttled by heat", query=_rate("throttled_thermal_s"),
           unit="percentunit", legend=_GPU,
           alerts=(Alert(name="GpuThrottledByHeat", severity="critical",
                         expr=" or ".join(f"{_rate(name)} > 0.05" for name in _THERMAL),
                         summary=f"Slowed by heat {_ON}",
                         action="Check air, fans and neighbours; drain the node if it lasts."),)),
    Signal(name="throttled_sw_thermal_s", about="from 4.6: by software, temperature",
           dashboard="thermals", panel="Time slowed by software, heat", unit="percentunit",
           query=_rate("throttled_sw_thermal_s"), legend=_GPU),
    Signal(name="throttled_hw_thermal_s", about="from 4.6: by hardware, temperature",
           dashboard="thermals", panel="Time slowed by hardware, heat", unit="percentunit",
           query=_rate("throttled_hw_thermal_s"), legend=_GPU),
    Signal(name="throttled_hw_power_brake_s", about="from 4.6: brake of the power supply",
           dashboard="power", panel="Time under the power brake", unit="percentunit",
           query=_rate("throttled_hw_power_brake_s"), legend=_GPU,
           alerts=(Alert(name="GpuPowerBrake", severity="critical", hold="1m",
                         expr=f"{_rate('throttled_hw_power_brake_s')} > 0.01",
                         summary=f"Power brake {_ON}",
                         action="Check the power supplies of the node (BMC): one may be out."),)),
    Signal(name="throttled_power_s", about="held back to keep the power limit", dashboard="power",
           panel="Time at the power limit", query=_rate("throttled_power_s"),
           unit="percentunit", legend=_GPU,
           alerts=(Alert(name="GpuThrottledByPower", severity="info", hold="30m",
                         expr=f"{_rate('throttled_power_s')} > 0.5",
                         summary=f"At the power limit most of the time {_ON}",
                         action="Normal under full load. Compare power_limit_w with its peers."),)),
    _level("power_w", "board power", "power", "watt"),
    _level("power_limit_w", "power limit", "power", "watt"),
    Signal(name="energy_j", about="energy of the boards", dashboard="cost",
           panel="Energy a day at this hour's rate",
           query="sum by (hostname) (max by (hostname, gpu) (increase(gpu:energy_j[1h]))) "
                 "* 24 / 3.6e6",
           unit="kwatth", legend="{{hostname}}",
           alerts=(Alert(name="DcgmValuesFrozen",
                         # The energy of a GPU with power always grows.
                         expr="max by (hostname) (increase(gpu:energy_j[10m])) == 0",
                         summary="DCGM on {{ $labels.hostname }} answers but measures nothing",
                         action="Restart nv-hostengine and dcgm-exporter on the node."),)),
    _grew("ecc_uncorrected_volatile", "uncorrectable memory errors", "GpuEccUncorrected",
          "The job may have wrong data: remake its last hour. Drain, reset the GPU.",
          severity="critical"),
    _grew("rows_remapped_uncorrectable", "rows replaced after double-bit errors", "GpuRowRemapped",
          "Reset the GPU at the next gap; run dcgmi diag -r 3 before it takes jobs again."),
    _level("row_remap_pending", "rows waiting to be replaced", "thermals", "short",
           Alert(name="GpuRowRemapPending", expr="gpu:row_remap_pending > 0",
                 summary=f"A row waits for a reset {_ON}",
                 action="Drain the node when its job ends and reset the GPU.")),
    _level("row_remap_failed", "rows that could not be replaced", "thermals", "short",
           Alert(name="GpuRowRemapFailed", expr="gpu:row_remap_failed > 0", severity="critical",
                 hold="0m", summary=f"A row cannot be replaced {_ON}",
                 action="The GPU is due for exchange: drain the node, open a case with NVIDIA.")),
    Signal(name="nvlink_tx_bytes", about="NVLink 5: sent", dashboard="nvlink",
           panel="NVLink 5 sent", query=_rate("nvlink_tx_bytes"), unit="Bps", legend=_GPU),
    Signal(name="nvlink_rx_bytes", about="NVLink 5: received", dashboard="nvlink",
           panel="NVLink 5 received", query=_rate("nvlink_rx_bytes"), unit="Bps", legend=_GPU),
    _level("nvlink_effective_ber", "NVLink 5 error rate after correction", "nvlink", "sci"),
    _grew("nvlink_recovery_failed", "NVLink 5 recoveries that failed", "Nvlink5RecoveryFailed",
          "A link is down: collectives hang or slow down. Drain the node.", severity="critical"),
    _grew("nvlink_rx_errors", "NVLink 5 packets with errors", "Nvlink5Errors", _CABLE),
    _grew("nvlink_malformed", "NVLink 5 malformed packets", "Nvlink5Malformed", _CABLE),
    _grew("nvlink_effective_errors", "NVLink 5 errors not corrected", "Nvlink5Effective", _CABLE),
    _grew("nvlink_crc_flit_errors", "NVLink to 4 checksum errors", "Nvlink4CrcErrors", _CABLE),
    _grew("nvlink_replays", "NVLink to 4 packets sent again", "Nvlink4Replays", _CABLE),
    _grew("nvlink_recoveries", "NVLink to 4 links trained again", "Nvlink4Recoveries", _CABLE),
)  # fmt: skip
