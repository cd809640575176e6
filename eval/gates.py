"""Thresholds: which of them a report meets."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eval.conf import Gate


@dataclass(frozen=True, kw_only=True, slots=True)
class GateResult:
    """What became of one gate."""

    name: str
    bound: float
    found: float | None
    """None: the metric has no value here."""
    passes: bool
    why: str


def judge_gates(
    gates: Sequence[Gate], values: Mapping[str, float], missing: Mapping[str, str]
) -> list[GateResult]:
    """Hold values against bounds.

    Args:
        gates: The thresholds.
        values: Of the set that is judged, by metric.
        missing: Why a metric has no value, by metric.

    Returns:
        One result a gate. What could not be measured did not pass.
    """
    results = []
    for gate in gates:
        found = values.get(gate.metric)
        if found is None or math.isnan(found):
            why = missing.get(gate.metric, f"{gate.metric} was not measured")
            results.append(
                GateResult(name=gate.name, bound=gate.bound, found=None, passes=False, why=why)
            )
            continue
        passes = found >= gate.bound if gate.is_least else found <= gate.bound
        sign = ">=" if gate.is_least else "<="
        why = f"{gate.metric} {found:.4g} {sign} {gate.bound:g}: {'met' if passes else 'missed'}"
        results.append(
            GateResult(name=gate.name, bound=gate.bound, found=found, passes=passes, why=why)
        )
    return results
