"""A page about one machine, in Markdown: what it says of itself, the same bytes each time.

Nothing that changes by the hour is on it: no date, no free memory, no temperature.
"""

from collections.abc import Iterable, Mapping

from bench.preflight.collect import NOT_ASKED, Answer
from bench.preflight.formats import ANSI, read_links, read_table, read_versions
from bench.preflight.probes_gpu import Answers
from bench.preflight.probes_node import Port
from pipeline.core.machine import Machine

SILENT = "does not say"
NOT_MEASURED = "not measured"

GPU_COLUMNS = (
    ("GPU", "gpus", "index"),
    ("name", "gpus", "name"),
    ("PCI bus", "gpus", "pci.bus_id"),
    ("memory, MiB", "gpus", "memory.total"),
    ("power limit, W", "power", "enforced.power.limit"),
    ("default, W", "power", "power.default_limit"),
    ("most, W", "power", "power.max_limit"),
    ("SM clock, MHz", "clocks", "clocks.max.sm"),
    ("ECC", "ecc", "ecc.mode.current"),
    ("MIG", "mig", "mig.mode.current"),
)
NEEDED = ("gpus", "power", "clocks", "ecc", "mig", "topology", "nvlink", "versions", "enroot")


def hardware_page(
    machine: Machine, answers: Answers, *, ports: Iterable[Port], file_system: str
) -> str:
    """Return the page.

    Args:
        machine: Host, cores, memory.
        answers: What the commands said; one that is not there was not asked.
        ports: RDMA ports.
        file_system: Type of the one runs are written to.
    """
    given = dict.fromkeys(NEEDED, NOT_ASKED) | dict(answers)
    parts = [
        f"# {machine.host}",
        "Made by `python -m jobs.preflight --write-hardware`. What is expected of a DGX B200 is in "
        "`docs/hardware.md`.",
        _table(("what", "value"), _facts(machine, given, file_system=file_system)),
        "## GPUs",
        _gpus(given),
        "## Links",
        _links(given),
        "## Ports between nodes",
        _ports(list(ports)),
        "## Measured",
        _table(
            ("what", "value"),
            [
                ("all-reduce, bus bandwidth", NOT_MEASURED),
                ("matrix product, bf16", NOT_MEASURED),
            ],
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _facts(
    machine: Machine, answers: Mapping[str, Answer], *, file_system: str
) -> list[tuple[str, str]]:
    versions = read_versions(answers["versions"].text)
    enroot = answers["enroot"]
    return [
        ("system", machine.system),
        ("CPU", machine.cpu),
        ("cores this process may use", str(machine.num_cores)),
        ("memory, GiB", f"{machine.memory_gib:g}"),
        ("GPU driver", versions.get("driver", SILENT)),
        ("CUDA the driver serves", versions.get("cuda", SILENT)),
        ("file system of the run folder", file_system),
        ("enroot", enroot.text.strip() if enroot.trouble is None else SILENT),
    ]


def _gpus(answers: Mapping[str, Answer]) -> str:
    tables = {
        name: {row["index"]: row for row in read_table(answers[name].text, "index")}
        for name in {name for _, name, _ in GPU_COLUMNS}
    }
    rows = [
        tuple(_value(tables[name].get(index, {}).get(column)) for _, name, column in GPU_COLUMNS)
        for index in tables["gpus"]
    ]
    return _table([title for title, _, _ in GPU_COLUMNS], rows) if rows else "None that answer."


def _links(answers: Mapping[str, Answer]) -> str:
    topology = answers["topology"]
    matrix = ANSI.sub("", topology.text).partition("\nLegend")[0].rstrip()
    told = f"```\n{matrix}\n```" if "GPU0" in matrix else "`nvidia-smi topo -m` does not say."
    links = read_links(answers["nvlink"].text)
    rows = [
        (gpu, str(sum(r is not None for r in rates)), _rates(rates)) for gpu, rates in links.items()
    ]
    if not rows:
        return told
    return told + "\n\n" + _table(("GPU", "NVLinks up", "GB/s each, raw"), rows)


def _rates(rates: list[float | None]) -> str:
    return ", ".join(sorted({f"{rate:g}" for rate in rates if rate is not None})) or SILENT


def _ports(ports: list[Port]) -> str:
    if not ports:
        return "None."
    return _table(
        ("device", "port", "layer", "state", "Gb/s"),
        [
            (
                p.device,
                p.port,
                p.layer,
                p.state,
                SILENT if p.rate_gbps is None else f"{p.rate_gbps:g}",
            )
            for p in ports
        ],
    )


def _value(told: str | None) -> str:
    return SILENT if told is None or told.strip("[]") in ("", "N/A", "Not Supported") else told


def _table(heading: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    heading = list(heading)
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
