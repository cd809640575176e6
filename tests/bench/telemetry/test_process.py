import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.telemetry.process import ProcessTree


def test_time_of_children_that_ended_is_kept() -> None:
    tree = ProcessTree(os.getpid())
    before = tree.read()["cpu_s"]
    code = "import time\nwhile time.process_time() < 0.3: pass"
    subprocess.run([sys.executable, "-c", code], check=True)
    # Both ends are rounded to the kernel's ticks of 10 ms.
    assert tree.read()["cpu_s"] - before >= 0.25


def zone(path: Path, name: str, joules: int) -> None:
    path.mkdir()
    (path / "name").write_text(f"{name}\n")
    (path / "energy_uj").write_text(str(joules * 10**6))
    (path / "max_energy_range_uj").write_text(str(10 * 10**6))


def test_rapl_is_read_where_it_can_be_and_wraps(tmp_path: Path) -> None:
    zones = {
        "intel-rapl:0": ("package-0", 5),
        "intel-rapl:1": ("package-1", 7),
        "intel-rapl:0:0": ("core", 99),
    }
    for name, (told, joules) in zones.items():
        zone(tmp_path / name, told, joules)
    tree = ProcessTree(os.getpid(), powercap=tmp_path)
    assert tree.read()["cpu_energy_j"] == 0.0
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text(str(8 * 10**6))
    (tmp_path / "intel-rapl:1" / "energy_uj").write_text(str(1 * 10**6))
    assert tree.read()["cpu_energy_j"] == 3.0 + 4.0
    (tmp_path / "intel-rapl:1" / "energy_uj").unlink()
    assert "cpu_energy_j" not in tree.read()
    assert "cpu_energy_j" not in ProcessTree(os.getpid(), powercap=tmp_path / "no").read()


def test_the_platforms_counter_is_not_a_package_more(tmp_path: Path) -> None:
    zone(tmp_path / "intel-rapl:0", "package-0", 0)
    zone(tmp_path / "intel-rapl:1", "psys", 0)
    tree = ProcessTree(os.getpid(), powercap=tmp_path)
    for name in ("intel-rapl:0", "intel-rapl:1"):
        (tmp_path / name / "energy_uj").write_text(str(4 * 10**6))
    assert tree.read()["cpu_energy_j"] == 4.0


def test_a_hidden_root_leaves_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with ``hidepid=2``: what belongs to others is not there."""
    real = psutil.Process.__init__

    def hidden(self: psutil.Process, pid: int | None = None) -> None:
        if pid == 1:
            raise psutil.NoSuchProcess(pid)
        real(self, pid)

    monkeypatch.setattr(psutil.Process, "__init__", hidden)
    told = ProcessTree(1).read()
    assert told["num_processes"] >= 1
    assert told["rss_mib"] > 1


def test_a_list_of_processes_that_may_not_be_read_leaves_the_root(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As with ``hidepid=1``: the kernel refuses, and psutil passes that on as it is."""

    def refused(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(psutil.Process, "children", refused)
    assert ProcessTree(os.getpid()).read()["num_processes"] == 1
