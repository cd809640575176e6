"""Which commands are asked.

A field that some driver does not know is in a query of its own: ``nvidia-smi`` refuses a whole list
for one unknown field.
"""

SMI = "nvidia-smi"


def _query(fields: str) -> tuple[str, ...]:
    return (SMI, f"--query-gpu={fields}", "--format=csv,nounits")


REASONS = ("hw_slowdown", "hw_thermal_slowdown", "sw_thermal_slowdown", "hw_power_brake_slowdown")
"""Why a clock is held down by more than the power limit; the limit itself is no fault."""

GPU_COMMANDS: dict[str, tuple[str, ...]] = {
    "gpus": _query("index,name,uuid,pci.bus_id,memory.total,driver_version"),
    "mig": _query("index,mig.mode.current"),
    "power": _query("index,enforced.power.limit,power.default_limit,power.max_limit"),
    "clocks": _query("index,clocks.max.sm"),
    "throttle": _query("index," + ",".join(f"clocks_event_reasons.{name}" for name in REASONS)),
    "ecc": _query(
        "index,ecc.mode.current,ecc.errors.uncorrected.volatile.total,"
        "ecc.errors.uncorrected.aggregate.total"
    ),
    "remap": (
        SMI,
        "--query-remapped-rows=gpu_bus_id,remapped_rows.uncorrectable,"
        "remapped_rows.pending,remapped_rows.failure",
        "--format=csv",
    ),
    "topology": (SMI, "topo", "-m"),
    "nvlink": (SMI, "nvlink", "-s"),
    "details": (SMI, "-q"),
    "versions": (SMI, "--version"),
    "kernel_log": ("dmesg",),
    "journal": ("journalctl", "-k", "-b", "-q", "--no-pager", "-n", "20000"),
}
SLURM_COMMANDS: dict[str, tuple[str, ...]] = {
    "mpi": ("srun", "--mpi=list"),
    "srun_help": ("srun", "--help"),
    "enroot": ("enroot", "version"),
}
