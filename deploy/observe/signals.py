"""What a row of the table of signals is, and how two DCGM names become one series."""

from dataclasses import dataclass

from bench.telemetry.fields import FIELDS, Field

GPU_LABELS = "hostname, gpu, GPU_I_ID, hpc_job"
LARGEST = 9.2e18
"""DCGM's blanks of 64 bits lie above (``dcgm_int64_values.h``); no counter of ours gets there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert on a signal."""

    name: str
    expr: str
    hold: str = "5m"
    """How long it must be true: Prometheus' ``for``."""
    severity: str = "warning"
    """``critical`` wakes somebody, ``warning`` is read in the morning, ``info`` is shown."""
    summary: str
    action: str
    """What to do, as the runbook has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One thing that is watched: where it comes from, its panel, its alerts."""

    name: str
    """A field of ``bench.telemetry.fields``, another exporter's metric, or what a query makes."""
    about: str
    dashboard: str = ""
    panel: str = ""
    """Title; without one there is no panel."""
    query: str = ""
    legend: str = ""
    unit: str = "short"
    """Grafana's id of a unit."""
    alerts: tuple[Alert, ...] = ()

    @property
    def fields(self) -> tuple[Field, ...]:
        """Return the DCGM fields behind it; none for what is not DCGM's."""
        return tuple(field for field in FIELDS if field.name == self.name)


def names_of(field: Field) -> list[str]:
    """Return DCGM's name to 4.5, then that from 4.6, of those it has."""
    return [name for name in (field.old, field.new) if name]


def recorded(name: str) -> str:
    """Return the name of the series that both names of a field end up in, in our unit."""
    return f"gpu:{name}"


def unify(fields: tuple[Field, ...]) -> str:
    """Return the PromQL that joins both names of a field, in our unit and without blanks.

    Where one exporter has both names, the old one counts. The labels kept are those that both name
    families have after relabelling; a MIG instance keeps its ``GPU_I_ID``.
    """
    parts = []
    for field in fields:
        low, high = field.limits
        high = min(high, LARGEST * min(field.scale, 1.0))
        for name in names_of(field):
            scaled = name if field.scale == 1.0 else f"{name} * {field.scale:g}"
            parts.append(f"({scaled} >= {low:g} <= {high:g})")
    return f"max by ({GPU_LABELS}) ({' or '.join(parts)})"
