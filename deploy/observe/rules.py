"""Recording and alert rules, and dcgm-exporter's list of counters, out of the table."""

from typing import Any

from bench.telemetry.fields import Field, Kind
from deploy.observe.signals import Alert, Signal, names_of, recorded, unify
from deploy.observe.table import SIGNALS
from deploy.observe.xid import COUNT

RUNBOOK = "docs/alerts.md"


def groups() -> list[dict[str, Any]]:
    """Return the groups of a rules file; what alerts read is recorded before."""
    records = [
        {"record": recorded(signal.name), "expr": unify(signal.fields)}
        for signal in SIGNALS
        if signal.fields
    ]
    alerts = [_alert(alert, signal) for signal in SIGNALS for alert in signal.alerts]
    return [{"name": "dgx-pixels", "interval": "15s", "rules": [*records, *alerts]}]


def counters(*, renamed: bool) -> str:
    """Return dcgm-exporter's list under the names to DCGM 4.5, or (``renamed``) from 4.6.

    An exporter refuses a list with a name that its DCGM does not know, so there are two.
    """
    lines = ["# Made by deploy.observe.generate: DCGM field, type, help"]
    for signal in SIGNALS:
        for field in signal.fields:
            name = _listed(field, renamed=renamed)
            kind = "counter" if field.kind is Kind.counter else "gauge"
            if name:
                lines.append(f"{name}, {kind}, {field.about.replace(',', ';')}")
    lines.append(f"{COUNT}, gauge, XID errors in the window by code")
    return "\n".join(lines) + "\n"


def _listed(field: Field, *, renamed: bool) -> str | None:
    # The counters by reason (1420 to 1424) are asked for from 4.6 on; 241 has it before.
    since_4_6 = field.dcgm_id is not None and field.dcgm_id >= 1420
    if renamed:
        kept = field.old if field.name not in {"gpu_util_percent", "energy_j"} else None
        return field.new or kept
    return None if since_4_6 else field.old


def _alert(alert: Alert, signal: Signal) -> dict[str, Any]:
    found = {
        "alert": alert.name,
        "expr": alert.expr,
        "labels": {"severity": alert.severity},
        "annotations": {
            "summary": alert.summary,
            "action": alert.action,
            "runbook": f"{RUNBOOK}#{alert.name.lower()}",
        },
    }
    if alert.hold != "0m":
        found["for"] = alert.hold
    return found


def names() -> dict[str, list[str]]:
    """Return DCGM's names of every signal that has some."""
    return {
        signal.name: [name for field in signal.fields for name in names_of(field)]
        for signal in SIGNALS
        if signal.fields
    }
