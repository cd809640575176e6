"""Is a GPU ill? Memory errors, rows remapped, Xids, recovery actions, the NVSwitch fabric."""

from collections import Counter
from collections.abc import Iterable, Iterator

from bench.preflight.conf import NodeProfile
from bench.preflight.finding import Finding, critical, ok, warn
from bench.preflight.formats import read_details, read_number, read_table, short_bus
from bench.preflight.probes_gpu import DRAIN, Answers, is_cut, unreadable
from bench.preflight.xid import Action, Xid, open_matters, read_log, read_recovery

RESET = f"{DRAIN}; reset the GPU (`nvidia-smi --gpu-reset -i N`)"


def ecc(answers: Answers, profile: NodeProfile) -> Iterator[Finding]:
    """Errors that ECC could not correct: since the driver was loaded, and ever."""
    del profile
    rows = read_table(answers["ecc"].text, "index")
    if not rows:
        yield unreadable("ecc", answers["ecc"])
        return
    if off := [row["index"] for row in rows if row["ecc.mode.current"] == "Disabled"]:
        yield warn("ecc", f"off: GPU {', '.join(off)}", todo="have it put on (`nvidia-smi -e 1`)")
    now = _above_zero(rows, "ecc.errors.uncorrected.volatile.total")
    ever = _above_zero(rows, "ecc.errors.uncorrected.aggregate.total")
    if now:
        yield critical("ecc", f"uncorrected since the driver was loaded: {now}", todo=RESET)
    elif ever:
        yield warn(
            "ecc",
            f"uncorrected in the GPU's life: {ever}",
            todo="watch it; more of them mean a replacement",
        )
    elif not off:
        yield ok("ecc", "no uncorrected errors")


def row_remap(answers: Answers, profile: NodeProfile) -> Iterator[Finding]:
    """Rows of memory that were replaced, wait for it, or could not be."""
    del profile
    rows = read_table(answers["remap"].text, "gpu_bus_id")
    if not rows:
        yield unreadable("row_remap", answers["remap"])
        return
    rows = [row | {"index": row["gpu_bus_id"]} for row in rows]
    if failed := _above_zero(rows, "remapped_rows.failure"):
        yield critical("row_remap", f"failed: {failed}", todo=f"{DRAIN}: the GPU is to be replaced")
    if pending := _above_zero(rows, "remapped_rows.pending"):
        yield critical("row_remap", f"pending: {pending}", todo=f"{RESET} to have it done")
    if not failed and not pending:
        worn = _above_zero(rows, "remapped_rows.uncorrectable")
        yield ok("row_remap", f"done after uncorrectable errors: {worn}" if worn else "none")


def recovery(answers: Answers, profile: NodeProfile) -> Iterator[Finding]:
    """What the driver itself wants done now."""
    del profile
    wanted = [
        (detail.bus, detail.recovery, read_recovery(detail.recovery))
        for detail in read_details(answers["details"].text)
        if detail.recovery is not None
    ]
    ill = [f"{bus}: {word}" for bus, word, action in wanted if action is not Action.nothing]
    if ill:
        worst = {action for _, _, action in wanted}
        todo = Action.reboot if Action.reboot in worst else Action.reset
        yield critical("recovery", ", ".join(ill), expected="None", todo=todo.value)
    elif wanted:
        yield ok("recovery", "no GPU wants any")


def fabric(answers: Answers, profile: NodeProfile) -> Iterator[Finding]:
    """Has the fabric manager joined the GPUs to the NVSwitches? Without it CUDA does not start."""
    if profile.link is None or is_cut(answers):
        return
    states = [detail.fabric for detail in read_details(answers["details"].text)]
    told = {state for state in states if state is not None}
    wrong = sorted(state for state in told if state not in ("Completed", "Completed, Success"))
    if wrong:
        yield critical(
            "fabric",
            ", ".join(wrong),
            expected="Completed, Success",
            todo=f"{DRAIN}: `systemctl status nvidia-fabricmanager`",
        )
    elif told:
        yield ok("fabric", "completed on all GPUs")


def xid(answers: Answers, profile: NodeProfile) -> Iterator[Finding]:
    """What the driver wrote into the kernel log since boot."""
    logs = [answers["kernel_log"], answers["journal"]]
    readable = [log for log in logs if log.trouble is None]
    if not any(log.text for log in readable):
        why = next((log.trouble for log in logs if log.trouble), "the log is empty")
        yield warn(
            "xid",
            f"unknown: the kernel log cannot be read ({why})",
            todo="ask an administrator for `dmesg | grep -i xid`, or look at DCGM's counter",
        )
        return
    text = max((log.text for log in readable), key=_num_xids)
    yield from judge(list(read_log(text)), answers, profile)


def judge(found: list[Xid], answers: Answers, profile: NodeProfile) -> Iterator[Finding]:
    """Turn a log's Xids into findings.

    The driver's word of today counts more than yesterday's lines; and a fault of a GPU that is
    another job's is no reason to stop this one.
    """
    details = read_details(answers["details"].text)
    # A driver that never tells what a GPU wants does not tell that a reset has helped either.
    is_told = not details or any(detail.recovery is not None for detail in details)
    well = {
        detail.bus
        for detail in details
        if detail.recovery is not None and read_recovery(detail.recovery) is Action.nothing
    }
    others = _others(found, answers, profile)
    serious = (Action.isolate, Action.reboot, Action.reset)
    bad, watched = [], []
    for each in open_matters(iter(found)):
        is_over = each.action is Action.reset and (each.bus in well or not is_told)
        if each.action in serious and not is_over and each.bus not in others:
            bad.append(each)
        elif each.action in (*serious, Action.link):
            watched.append(each)
    over = "over" if is_told else "maybe over"
    for group, told, note in (
        (bad, critical, ""),
        (watched, warn, f" (since boot: {over}, of a link, or of a GPU not given to this job)"),
    ):
        for action in Action:
            if lines := [each for each in group if each.action is action]:
                yield told("xid", _count(lines) + note, todo=action.value)
    if not bad and not watched:
        yield ok("xid", f"none that matters: {_count(found)}" if found else "none since boot")


def _others(found: list[Xid], answers: Answers, profile: NodeProfile) -> set[str]:
    """Return buses of GPUs that are not ours; none while one of ours is missing."""
    ours = {short_bus(row["pci.bus_id"]) for row in read_table(answers["gpus"].text, "index")}
    is_whole = bool(ours) and len(ours) >= (profile.num_gpus or 0)
    return {each.bus for each in found} - ours if is_whole else set()


def _count(found: Iterable[Xid]) -> str:
    lines = list(found)
    counted = Counter((each.code, each.bus) for each in lines)
    said = {(each.code, each.bus): each.text for each in lines}
    return ", ".join(
        f"{number} x Xid {code} on {bus}" + (f" ({said[code, bus][:90]})" if number == 1 else "")
        for (code, bus), number in list(counted.items())[:8]
    )


def _num_xids(log: str) -> int:
    return sum(1 for _ in read_log(log))


def _above_zero(rows: list[dict[str, str]], key: str) -> str:
    counts = {row["index"]: read_number(row.get(key)) for row in rows}
    return ", ".join(f"GPU {index}: {count:g}" for index, count in counts.items() if count)
