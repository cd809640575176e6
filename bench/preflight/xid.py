"""Xid errors: what the driver wrote into the kernel log, and what NVIDIA says to do about it.

Classes after NVIDIA's catalog (docs.nvidia.com/deploy/xid-errors/analyzing-xid-catalog.html) as
the health checks of cloud providers group them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum


class Action(Enum):
    """What an Xid asks for; the value says it."""

    nothing = "nothing: for the record"
    application = "look at the application: it crashed, or its GPU memory was at fault once"
    link = "watch NVLink; drain the node if it comes again"
    reset = "drain the node and reset the GPU"
    reboot = "drain the node and reboot it"
    isolate = "drain the node: the hardware wants service"


CODES: dict[Action, frozenset[int]] = {
    Action.isolate: frozenset({54}),
    Action.reboot: frozenset({79, 151, 168}),
    Action.reset: frozenset(
        {48, 64, 74, 95, 109, 110, 119, 120, 136, 140, 143, 155, 156, 158},
    ),
    Action.link: frozenset(range(144, 151)),
    Action.application: frozenset({13, 31, 94, 126}),
    Action.nothing: frozenset({43, 63, 92, 121}),
}
RECOVERY = 154
"""The driver's own word on what a GPU needs now; the action is in its text."""
LINE = re.compile(r"NVRM: Xid \((?:PCI:)?([0-9a-fA-F:.]+)\): (\d+)(?:, *(.*))?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Xid:
    """One line of the log."""

    bus: str
    """PCI bus id, lower case: ``0000:1b:00``."""
    code: int
    text: str
    """The rest of the line."""

    @property
    def action(self) -> Action:
        """What it asks for; an unknown code asks for a look at the application."""
        if self.code == RECOVERY:
            return read_recovery(self.text)
        return next(
            (action for action, codes in CODES.items() if self.code in codes), Action.application
        )


def read_recovery(text: str) -> Action:
    """Return the action of an Xid 154's text or of ``GPU Recovery Action``; unknown words: reset.

    ``GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)``; older drivers leave
    out what it was before, newer ones say ``OS Reboot`` and ``PF FLR``.
    """
    words = re.findall(r"\(([^()]*)\)", text) or [text]
    word = words[-1].strip().lower()
    if word == "none":
        return Action.nothing
    if "reboot" in word:
        return Action.reboot
    return Action.link if word == "drain p2p" else Action.reset


def read_log(text: str) -> Iterator[Xid]:
    """Yield the Xids of a kernel log, oldest first."""
    for match in LINE.finditer(text):
        bus, code, rest = match.groups()
        yield Xid(bus=bus.lower().partition(".")[0], code=int(code), text=(rest or "").strip())


def open_matters(xids: Iterator[Xid]) -> list[Xid]:
    """Return those that are still to be dealt with: a recovery to ``None`` closes what was before.

    Raises nothing; keeps the order.
    """
    by_bus: dict[str, list[Xid]] = {}
    for xid in xids:
        if xid.code == RECOVERY and xid.action is Action.nothing:
            by_bus[xid.bus] = []
        else:
            by_bus.setdefault(xid.bus, []).append(xid)
    return [xid for found in by_bus.values() for xid in found]
