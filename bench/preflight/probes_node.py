"""Is the host set up for steady work: CPU, memory placement, network ports? Reads files only."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.preflight.conf import NodeProfile
from bench.preflight.finding import Finding, ok, warn
from bench.preflight.formats import read_number

ROOT = Path("/")


@dataclass(frozen=True, kw_only=True, slots=True)
class Port:
    """One port of a network card that does RDMA."""

    device: str
    """As NCCL names it: ``mlx5_0``."""
    port: str
    layer: str
    """``InfiniBand`` or ``Ethernet``."""
    state: str
    """``ACTIVE``, ``DOWN``, ``INIT``."""
    rate_gbps: float | None
    """Gb/s; None: it does not say."""


def governors(root: Path = ROOT) -> set[str]:
    """Return the cores' frequency governors; empty in a virtual machine."""
    folder = root / "sys/devices/system/cpu"
    return {_read(file) for file in folder.glob("cpu[0-9]*/cpufreq/scaling_governor")} - {""}


def numa_balancing(root: Path = ROOT) -> str:
    """Return the kernel's setting, ``0`` is off; empty where there is none."""
    return _read(root / "proc/sys/kernel/numa_balancing")


def read_ports(root: Path = ROOT) -> list[Port]:
    """Return the RDMA ports by device and port number."""
    return [
        Port(
            device=folder.parts[-3],
            port=folder.name,
            layer=_read(folder / "link_layer"),
            # A number and a word, such as 4 and ACTIVE; a rate in words, such as 400 Gb/sec.
            state=_read(folder / "state").rpartition(" ")[2],
            rate_gbps=read_number(_read(folder / "rate")),
        )
        for folder in sorted((root / "sys/class/infiniband").glob("*/ports/*"))
    ]


def cpu(profile: NodeProfile, root: Path = ROOT) -> Iterator[Finding]:
    """Governor and automatic NUMA balancing."""
    found = governors(root)
    if profile.is_server and found - {"performance"}:
        yield warn(
            "cpu.governor",
            ", ".join(sorted(found)),
            expected="performance",
            todo="`cpupower frequency-set -g performance`; loaders stall on slow cores",
        )
    else:
        yield ok("cpu.governor", ", ".join(sorted(found)) or "not told (a virtual machine?)")
    setting = numa_balancing(root)
    if profile.is_server and setting not in ("", "0"):
        yield warn(
            "cpu.numa_balancing",
            setting,
            expected="0",
            todo="`sysctl kernel.numa_balancing=0`; it moves pages under running ranks",
        )
    else:
        yield ok("cpu.numa_balancing", setting or "not told")


def nics(profile: NodeProfile, root: Path = ROOT) -> Iterator[Finding]:
    """Are the ports between nodes up, at their rate? One node works without any.

    A port that is down is no fault while enough are up: storage ports may be left free, and the
    NVSwitches of a B200 baseboard show management ports of their own here.
    """
    if profile.num_nics is None:
        return
    ports = read_ports(root)
    least = 0.99 * (profile.nic_rate_gbps or 0.0)
    up = [port for port in ports if port.state == "ACTIVE" and (port.rate_gbps or 0.0) >= least]
    if len(up) >= profile.num_nics:
        yield ok("nics", f"{len(up)} of {len(ports)} ports at {profile.nic_rate_gbps:g} Gb/s")
        return
    told = f"{len(up)} of {len(ports)} ports active at {profile.nic_rate_gbps:g} Gb/s"
    names = ", ".join(f"{p.device}/{p.port} {p.state}" for p in ports if p not in up)
    yield warn(
        "nics",
        told + (f" ({names})" if names else ""),
        expected=f"{profile.num_nics} or more",
        todo="`ibstat`; jobs on several nodes are slow or do not start",
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
