"""CPU time and memory of a job's processes on this node, and RAPL where it can be read."""

import re
import time
from contextlib import suppress
from pathlib import Path

import psutil

POWERCAP = Path("/sys/class/powercap")
ZONE = re.compile(r"intel-rapl:\d+")
"""``intel-rapl:0:0`` is a part of one. AMD's counters have the same names."""
PACKAGE = "package"
"""What the name of a whole package begins with; ``psys`` is the platform, packages included."""
LOOK_SHARE = 1 / 500
"""Share of the time spent on looking for new processes, which reads every one of the node."""
MIB = 2**20


class ProcessTree:
    """A process and all that come from it.

    Args:
        root: Process id; one that ``hidepid`` hides is replaced by this very process.
        powercap: Where the kernel shows RAPL.
    """

    def __init__(self, root: int, *, powercap: Path = POWERCAP) -> None:
        self._root = _readable(root)
        self._found = [self._root]
        self._next_look_s = 0.0
        self._packages = [_Package(path) for path in _packages(powercap)]

    def read(self) -> dict[str, float]:
        """Return ``cpu_s``, ``rss_mib``, ``num_processes``, and ``cpu_energy_j`` where it is told.

        The time of a process that ended is its parent's from then on, so the sum does not shrink.
        """
        now_s = time.monotonic()
        if now_s >= self._next_look_s:
            # Under hidepid, reading the processes of others is refused by the kernel itself.
            with suppress(psutil.Error, OSError):
                self._found = [self._root, *self._root.children(recursive=True)]
            looked_s = time.monotonic()
            self._next_look_s = looked_s + (looked_s - now_s) / LOOK_SHARE
        cpu_s, rss, alive = 0.0, 0, 0
        for process in self._found:
            with suppress(psutil.Error, OSError), process.oneshot():
                times = process.cpu_times()
                rss += process.memory_info().rss
                cpu_s += sum(times[:4])
                alive += 1
        values = {
            "cpu_s": round(cpu_s, 2),
            "rss_mib": round(rss / MIB, 1),
            "num_processes": float(alive),
        }
        energies = [package.read() for package in self._packages]
        told = [energy for energy in energies if energy is not None]
        if told and len(told) == len(energies):
            values["cpu_energy_j"] = round(sum(told), 3)
        return values if alive else {}


class _Package:
    """One RAPL counter, which wraps around at a value of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path / "energy_uj"
        self._range = int((path / "max_energy_range_uj").read_text())
        self._last = int(self._path.read_text())
        self._sum = 0

    def read(self) -> float | None:
        """Return joules since this object was made; None where it cannot be read."""
        try:
            now = int(self._path.read_text())
        except (OSError, ValueError):
            return None
        self._sum += (now - self._last) % self._range if now < self._last else now - self._last
        self._last = now
        return self._sum / 1e6


def _readable(root: int) -> psutil.Process:
    try:
        process = psutil.Process(root)
        process.cpu_times()
    except (psutil.Error, OSError):
        return psutil.Process()
    return process


def _packages(powercap: Path) -> list[Path]:
    """Return the packages whose counters this user may read: since 2020 often only root."""
    found = []
    for path in sorted(powercap.glob("intel-rapl:*")):
        with suppress(OSError, ValueError):
            if ZONE.fullmatch(path.name) and (path / "name").read_text().startswith(PACKAGE):
                int((path / "energy_uj").read_text())
                int((path / "max_energy_range_uj").read_text())
                found.append(path)
    return found
