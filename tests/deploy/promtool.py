"""The cases of ``rule_cases`` as promtool's files, one an alert."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from deploy.observe.signals import names_of
from deploy.observe.table import SIGNALS
from tests.deploy.rule_cases import CASES, Case, Series

FIELDS = {signal.name: signal.fields for signal in SIGNALS if signal.fields}


def write(folder: Path, rules: list[dict[str, Any]], alert: str) -> Path:
    """Write an alert's cases, and of ``rules`` only what it needs: each rule costs time."""
    (rule,) = (row for row in rules if row.get("alert") == alert)
    records = [row for row in rules if row.get("record", "?") in rule["expr"]]
    groups = {"groups": [{"name": "rules", "rules": [*records, rule]}]}
    (folder / f"{alert}.rules.yml").write_text(yaml.safe_dump(groups))
    severity = rule["labels"]["severity"]
    told = {
        "rule_files": [f"{alert}.rules.yml"],
        "evaluation_interval": "1m",
        "tests": [
            _test(alert, severity, named, case.firing)
            for case in CASES[alert]
            for named in under_dcgm_names(case)
        ],
    }
    path = folder / f"{alert}.yml"
    path.write_text(yaml.safe_dump(told, sort_keys=False))
    return path


def under_dcgm_names(case: Case) -> Iterator[Series]:
    """The series of a case, once for every name that its fields have."""
    split = [(*key.partition("{"), values) for key, values in case.series.items()]
    names = {name: [n for field in FIELDS.get(name, ()) for n in names_of(field)] or [name]
             for name, *_ in split}  # fmt: skip
    for family in range(max(map(len, names.values()))):
        yield {
            f"{names[name][min(family, len(names[name]) - 1)]}{brace}{labels}": values
            for name, brace, labels, values in split
        }


def _test(alert: str, severity: str, series: Series, firing: dict[int, int]) -> dict[str, Any]:
    active = f'ALERTS{{alertname="{alert}",alertstate="firing"}}'
    labels = f'{{alertname="{alert}", severity="{severity}"}}'
    return {
        "name": f"{alert} {series}",
        "interval": "15s",
        "input_series": [{"series": key, "values": values} for key, values in series.items()],
        "promql_expr_test": [
            {
                # Where none fires now, none did so before, but for what ends.
                "expr": f"count by (alertname, severity) ({active if ended else ever(active)})",
                "eval_time": f"{minute}m",
                "exp_samples": [{"labels": labels, "value": count}] if count else [],
            }
            for minute, count in firing.items()
            for ended in [count > 0 or any(other < minute for other in firing if firing[other])]
        ],
    }


def ever(active: str) -> str:
    """Return an expression for what fired at any time up to now."""
    return f"count_over_time({active}[12h])"
