"""Are all GPUs there, are they the right ones, whole, joined and free to run at full power?"""

import re
from collections.abc import Iterator, Mapping, Sequence

from bench.preflight.collect import Answer
from bench.preflight.conf import MEMORY_TOLERANCE, NodeProfile
from bench.preflight.finding import Finding, critical, ok, warn
from bench.preflight.formats import (
    BROKEN,
    read_links,
    read_number,
    read_table,
    read_topology,
    version_of,
)

Answers = Mapping[str, Answer]
DRAIN = "drain the node and tell its administrator"


def gpus(answers: Answers, profile: NodeProfile) -> Iterator[Finding]:
    """Number, kind, memory; what hangs or speaks nonsense here is critical."""
    answer = answers["gpus"]
    rows = read_table(answer.text, "index")
    if not rows:
        said = answer.trouble or f"nvidia-smi says {answer.text.strip()[:80]!r}, no table"
        wanted = f"{profile.num_gpus} GPUs" if profile.num_gpus else "GPUs"
        yield critical("gpu.count", said, expected=wanted, todo=DRAIN)
        return
    broken = [row["index"] for row in rows if BROKEN.search(" ".join(row.values()))]
    if broken:
        yield critical(
            "gpu.answers",
            f"GPU {', '.join(broken)} wants a reset or is lost",
            todo=f"{DRAIN}; `nvidia-smi --gpu-reset -i N`, else reboot",
        )
    # Said before the table, of a GPU that is then missing from it.
    lost = re.search(r".*Unable to determine the device handle.*", answer.text)
    yield _count(len(rows), profile, lost=lost.group() if lost else "")
    yield from _alike(rows, profile)


def _count(found: int, profile: NodeProfile, *, lost: str) -> Finding:
    if lost or (profile.num_gpus is not None and found < profile.num_gpus):
        return critical(
            "gpu.count",
            f"{found} GPUs" + (f" ({lost[:120]})" if lost else ""),
            expected=str(profile.num_gpus or "all"),
            todo=f"{DRAIN}; look for Xid 79 in `dmesg`, and whether the job was given them all",
        )
    if profile.num_gpus is not None and found > profile.num_gpus:
        return warn(
            "gpu.count",
            f"{found} GPUs",
            expected=str(profile.num_gpus),
            todo="other jobs may use the rest: Slurm does not confine devices here",
        )
    return ok("gpu.count", f"{found} GPUs")


def _alike(rows: list[dict[str, str]], profile: NodeProfile) -> Iterator[Finding]:
    names = sorted({row["name"] for row in rows})
    strangers = [name for name in names if not re.search(profile.gpu_pattern, name)]
    if strangers or len(names) > 1:
        yield critical(
            "gpu.model",
            ", ".join(names),
            expected=profile.gpu_pattern.replace(r"\b", "") or "one kind",
            todo="take another node or another --profile",
        )
    else:
        yield ok("gpu.model", names[0])
    told = {row["index"]: read_number(row["memory.total"]) for row in rows}
    sizes = {index: size for index, size in told.items() if size is not None}
    wanted = profile.memory_mib
    if wanted is None:
        yield ok("gpu.memory", f"{rows[0]['memory.total']} MiB each")
        return
    wrong = [
        f"GPU {index}: {size:.0f} MiB"
        for index, size in sizes.items()
        if abs(size - wanted) > MEMORY_TOLERANCE * wanted
    ]
    if wrong:
        yield critical("gpu.memory", ", ".join(wrong), expected=f"{wanted} MiB", todo=DRAIN)
    elif sizes:
        yield ok("gpu.memory", f"{min(sizes.values()):.0f} MiB each")
    else:
        # In a slice only root is told of the whole GPU.
        yield warn(
            "gpu.memory",
            f"unknown: nvidia-smi says {rows[0]['memory.total']}",
            expected=f"{wanted} MiB",
            todo="look as root; this check did not take place",
        )


def driver(answers: Answers, profile: NodeProfile) -> Iterator[Finding]:
    """Is the driver new enough for the GPU?"""
    versions = {row["driver_version"] for row in read_table(answers["gpus"].text, "index")}
    for found in sorted(versions):
        if profile.driver_floor and version_of(found) < version_of(profile.driver_floor):
            yield critical(
                "driver",
                found,
                expected=f"{profile.driver_floor} or later",
                todo="have the driver updated",
            )
        else:
            yield ok("driver", found)


def mig(answers: Answers, profile: NodeProfile) -> Iterator[Finding]:
    """Are the GPUs whole for a batch job, cut for an interactive one?"""
    modes = {row["index"]: row["mig.mode.current"] for row in _rows(answers, "mig")}
    if not modes:
        yield unreadable("mig", answers["mig"])
        return
    cut = [index for index, mode in modes.items() if mode == "Enabled"]
    if profile.mig is None or profile.mig == bool(cut):
        yield ok("mig", f"on: GPU {', '.join(cut)}" if cut else "off")
    elif cut:
        yield critical(
            "mig",
            f"on: GPU {', '.join(cut)}",
            expected="whole GPUs",
            todo="cluster=dgx_b200_mig for interactive work, or have it put off "
            "(`nvidia-smi -mig 0`); NCCL does not work between slices",
        )
    else:
        yield critical(
            "mig", "off", expected="on", todo="cluster=dgx_b200, or have the GPUs cut (`-mig 1`)"
        )


def topology(answers: Answers, profile: NodeProfile) -> Iterator[Finding]:
    """Is every pair of GPUs joined as it should be?"""
    if is_cut(answers):
        return
    joined = read_topology(answers["topology"].text)
    if not joined:
        if len(read_table(answers["gpus"].text, "index")) > 1:
            yield unreadable("topology", answers["topology"])
        return
    kinds = sorted(set(joined.values()))
    wrong = sorted(pair for pair, kind in joined.items() if kind != profile.link)
    apart = [pair for pair in wrong if not re.fullmatch(r"NV\d+", joined[pair])]
    if profile.link is None or not wrong:
        yield ok("topology", f"{', '.join(kinds)} between all {len(joined) // 2} pairs")
        return
    expected = f"{profile.link} between all"
    if not apart:
        yield warn(
            "topology",
            _pairs(joined, wrong),
            expected=expected,
            todo="another board than is known here, or links are down (`nvidia-smi nvlink -s`)",
        )
        return
    yield critical(
        "topology",
        _pairs(joined, apart),
        expected=expected,
        todo=f"{DRAIN}: NVLink or the fabric manager is down (`systemctl status "
        "nvidia-fabricmanager`); all-reduce would run over PCIe",
    )


def _pairs(joined: Mapping[tuple[str, str], str], chosen: Sequence[tuple[str, str]]) -> str:
    once = [(a, b) for a, b in chosen if a < b] or chosen
    return ", ".join(f"{a}-{b} {joined[a, b]}" for a, b in once)[:160]


def nvlink(answers: Answers, profile: NodeProfile) -> Iterator[Finding]:
    """Is every link up, at its rate?"""
    if is_cut(answers) or profile.num_links is None:
        return
    links = read_links(answers["nvlink"].text)
    if not any(links.values()):
        yield unreadable("nvlink", answers["nvlink"])
        return
    wrong = []
    for gpu, rates in links.items():
        up = [rate for rate in rates if rate is not None]
        slow = [rate for rate in up if rate < 0.99 * (profile.link_rate_gbs or 0)]
        if len(up) < profile.num_links:
            wrong.append(f"GPU {gpu}: {len(up)} links up")
        elif slow:
            wrong.append(f"GPU {gpu}: {len(slow)} links at {min(slow):g} GB/s")
    expected = f"{profile.num_links} at {profile.link_rate_gbs:g} GB/s"
    if not wrong:
        yield ok("nvlink", f"{expected} on each of {len(links)} GPUs")
        return
    told = warn if len(links) == 1 else critical
    yield told("nvlink", ", ".join(wrong), expected=expected, todo=f"{DRAIN}: a link is dead")


def power(answers: Answers, profile: NodeProfile) -> Iterator[Finding]:
    """What may a GPU draw? The same card is another one at another limit.

    At its own default it is as it was delivered, and told; below, somebody capped it.
    """
    rows = _rows(answers, "power")
    if not rows:
        yield unreadable("power", answers["power"])
        return
    limits = {row["index"]: read_number(row["enforced.power.limit"]) for row in rows}
    told = [limit for limit in limits.values() if limit is not None]
    default = read_number(rows[0]["power.default_limit"])
    if not told:
        yield ok("power", "the driver does not say")
        return
    least, most = profile.power_limit_w or (0.0, 0.0)
    whole = max(default or most, least)
    held = [f"GPU {i}: {limit:g} W" for i, limit in limits.items() if (limit or whole) < whole]
    if not held:
        of = f", its default, of {most:g} W the card may have" if max(told) < most else ""
        yield ok("power", f"{min(told):g} W{of}")
        return
    yield warn(
        "power",
        ", ".join(held) if len(set(told)) > 1 else f"{min(told):g} W each",
        expected=f"{whole:g} W",
        todo="compare its figures only with those at the same limit; `nvidia-smi -pl` or the BMC "
        "set it",
    )


def clocks(answers: Answers, profile: NodeProfile) -> Iterator[Finding]:
    """Is a clock held down by heat or the power supply right now?"""
    del profile
    rows = _rows(answers, "throttle")
    if not rows:
        yield unreadable("clocks", answers["throttle"])
        return
    held = [
        f"GPU {row['index']}: {key.rpartition('.')[2]}"
        for row in rows
        for key, value in row.items()
        if value == "Active"
    ]
    if held:
        yield warn(
            "clocks",
            ", ".join(held),
            expected="no slowdown",
            todo="look at temperature and power supplies; figures taken now are too low",
        )
        return
    highest = {row["clocks.max.sm"] for row in _rows(answers, "clocks")}
    yield ok("clocks", f"none held down; SM up to {', '.join(sorted(highest)) or '?'} MHz")


def is_cut(answers: Answers) -> bool:
    """Whether MIG is on anywhere: slices are not joined, so links have nothing to say."""
    return any(row["mig.mode.current"] == "Enabled" for row in _rows(answers, "mig"))


def _rows(answers: Answers, name: str) -> list[dict[str, str]]:
    return read_table(answers[name].text, "index")


def unreadable(name: str, answer: Answer) -> Finding:
    """Return that a check did not take place, and what stood in the answer's place."""
    said = answer.trouble or f"nvidia-smi says {answer.text.strip()[:80]!r}"
    return warn(name, f"unknown: {said}", todo="run it by hand; this check did not take place")
