"""Read what ``nvidia-smi`` prints, by its headings: columns come and go between drivers."""

import csv
import re
from dataclasses import dataclass

ANSI = re.compile(r"\x1b\[[0-9;]*m")
NOTHING = {"", "N/A", "[N/A]", "[Not Supported]", "Not Supported", "None", "Unknown"}
BROKEN = re.compile(r"requires reset|is lost|ERR!|Unknown Error", re.IGNORECASE)
"""What stands in a field of a GPU that does not work any more."""


def read_table(text: str, first: str) -> list[dict[str, str]]:
    """Read ``--format=csv``; what stands before the heading, and short lines, are left out.

    Args:
        text: The output.
        first: Name of the first column, by which the heading is found.

    Returns:
        One mapping a line, from column to value; the heading's units are cut off.
    """
    rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines())]
    starts = [at for at, row in enumerate(rows) if row and _column(row[0]) == first]
    if not starts:
        return []
    heading = [_column(cell) for cell in rows[starts[0]]]
    return [
        dict(zip(heading, row, strict=True))
        for row in rows[starts[0] + 1 :]
        if len(row) == len(heading)
    ]


def read_number(value: str | None) -> float | None:
    """Return the number a field begins with; Yes is 1, No is 0, None where it says nothing."""
    if value is None or value in NOTHING:
        return None
    if value in ("Yes", "No"):
        return float(value == "Yes")
    number = re.match(r"-?\d+(\.\d+)?", value)
    return float(number.group()) if number else None


def read_topology(text: str) -> dict[tuple[str, str], str]:
    """Read ``nvidia-smi topo -m``: from two GPUs, as ``("GPU0", "GPU1")``, to what joins them."""
    joined: dict[tuple[str, str], str] = {}
    columns: list[str] = []
    for line in ANSI.sub("", text).splitlines():
        cells = line.split()
        if not columns:
            columns = [cell for cell in cells if re.fullmatch(r"GPU\d+", cell)]
        elif cells and cells[0] in columns and len(cells) > len(columns):
            # GPUs come first; a network card's cells, or none, follow.
            for column, cell in zip(columns, cells[1:], strict=False):
                if column != cells[0]:
                    joined[cells[0], column] = cell
    return joined


def read_links(text: str) -> dict[str, list[float | None]]:
    """Read ``nvidia-smi nvlink -s``: from a GPU to the rate of each link, GB/s; None: inactive."""
    links: dict[str, list[float | None]] = {}
    gpu = ""
    for line in text.splitlines():
        if heading := re.match(r"GPU (\d+):", line):
            gpu = heading.group(1)
            links[gpu] = []
        elif link := re.match(r"\s+Link \d+: (?:<inactive>|([\d.]+) GB/s)", line):
            links.setdefault(gpu, []).append(float(link.group(1)) if link.group(1) else None)
    return links


@dataclass(frozen=True, kw_only=True, slots=True)
class Detail:
    """What only ``nvidia-smi -q`` tells of a GPU; None: this driver does not."""

    bus: str
    """PCI bus id, lower case, without the leading zeros of its domain: ``0000:1b:00``."""
    recovery: str | None = None
    """What the driver wants done: ``None``, ``Reset``, ``Reboot``, ``Drain P2P``."""
    fabric: str | None = None
    """State of the NVSwitch fabric, such as ``Completed``; with the status where it has one."""


def read_details(text: str) -> list[Detail]:
    """Read ``nvidia-smi -q``."""
    parts = re.split(r"^GPU ([0-9A-Fa-f:.]+)\s*$", text, flags=re.MULTILINE)
    return [
        Detail(bus=short_bus(bus), recovery=_recovery(part), fabric=_fabric(part))
        for bus, part in zip(parts[1::2], parts[2::2], strict=True)
    ]


def short_bus(bus: str) -> str:
    """Write a bus id as the kernel log does: ``00000000:1B:00.0`` is ``0000:1b:00``."""
    return bus.lower()[-len("0000:1b:00.0") :].partition(".")[0]


def read_versions(text: str) -> dict[str, str]:
    """Read ``nvidia-smi --version``: ``driver`` and ``cuda``, the newest CUDA it serves."""
    wanted = {"driver": r"(?:DRIVER|KMD) version", "cuda": r"CUDA (?:UMD )?Version"}
    found = {
        name: re.search(rf"{pattern}\s*:\s*([\d.]+)", text, re.IGNORECASE)
        for name, pattern in wanted.items()
    }
    return {name: match.group(1) for name, match in found.items() if match}


def version_of(text: str) -> tuple[int, ...]:
    """Return ``570.133.20`` as a tuple that compares."""
    return tuple(int(part) for part in re.findall(r"\d+", text))


def _column(cell: str) -> str:
    return cell.partition(" [")[0].strip()


def _recovery(part: str) -> str | None:
    told = re.search(r"GPU Recovery Action\s*:\s*(.+)", part)
    return told.group(1).strip() if told else None


def _fabric(part: str) -> str | None:
    told = re.search(r"^\s+Fabric\s*\n\s+State\s*:\s*(.+)\n(?:\s+Status\s*:\s*(.+))?", part, re.M)
    if told is None or told.group(1).strip() in NOTHING:
        return None
    state, status = told.group(1).strip(), (told.group(2) or "").strip()
    health = re.search(r"^\s+Health\s*\n\s+Summary\s*:\s*(Unhealthy.*)", part[told.end() :], re.M)
    words = [state, status, health.group(1).strip() if health else ""]
    return ", ".join(word for word in words if word not in NOTHING)
