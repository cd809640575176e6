"""Grafana dashboards out of the table, as JSON that is provisioned from files or ConfigMaps."""

import re
from typing import Any

from deploy.observe.signals import Signal
from deploy.observe.table import DASHBOARDS, SIGNALS

VARIABLES = {"price_per_gpu_hour": "0", "price_per_kwh": "0"}
"""A price is somebody's own: 0 until it is typed in, so no cost is invented."""
FOLDER = "/etc/grafana/dgx-pixels"
"""Where Grafana finds the dashboards' files."""
SCHEMA_VERSION = 39
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def dashboard(name: str) -> dict[str, Any]:
    """Return a dashboard: its panels two a row, in the order of the table."""
    rows = [signal for signal in SIGNALS if signal.dashboard == name and signal.panel]
    return {
        "uid": f"dgx-pixels-{name}",
        "title": f"DGX-Pixels: {DASHBOARDS[name]}",
        "tags": ["dgx-pixels"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": _variables(name)},
        "panels": [_panel(number, signal) for number, signal in enumerate(rows)],
    }


def provisioning() -> dict[str, Any]:
    """Return Grafana's provisioning files by their path: where data and dashboards come from.

    Grafana itself puts in ``$PROMETHEUS_URL`` from its environment. Keys:
    https://grafana.com/docs/grafana/latest/administration/provisioning.
    """
    source = {
        "name": "Prometheus",
        "type": "prometheus",
        "access": "proxy",
        "url": "$PROMETHEUS_URL",
        "isDefault": True,
        "editable": False,
    }
    provider = {
        "name": "dgx-pixels",
        "folder": "DGX-Pixels",
        "type": "file",
        "disableDeletion": True,
        "allowUiUpdates": False,
        "options": {"path": FOLDER},
    }
    return {
        "datasources/prometheus.yml": {"apiVersion": 1, "datasources": [source]},
        "dashboards/dgx-pixels.yml": {"apiVersion": 1, "providers": [provider]},
    }


def _variables(name: str) -> list[dict[str, Any]]:
    source = {"name": "datasource", "type": "datasource", "query": "prometheus"}
    prices = [
        {
            "name": price,
            "type": "textbox",
            "query": value,
            "current": {"text": value, "value": value},
        }
        for price, value in VARIABLES.items()
    ]
    return [source, *(prices if name == "cost" else [])]


def _panel(number: int, signal: Signal) -> dict[str, Any]:
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": signal.panel,
        "description": signal.about,
        "datasource": SOURCE,
        "gridPos": {"x": 12 * (number % 2), "y": 8 * (number // 2), "w": 12, "h": 8},
        "fieldConfig": {"defaults": {"unit": signal.unit, **_limit(signal)}, "overrides": []},
        "targets": [
            {
                "refId": "A",
                "datasource": SOURCE,
                "expr": signal.query,
                "legendFormat": signal.legend,
            }
        ],
    }


def _limit(signal: Signal) -> dict[str, Any]:
    """Return a dashed line where an alert compares just what the panel shows with a number."""
    for alert in (alert for row in SIGNALS for alert in row.alerts):
        for part in re.split(r" or | and on ", alert.expr):
            found = re.fullmatch(rf"{re.escape(signal.query)} ([<>]) ([\d.]+)", part)
            if found:
                colours = ("green", "red") if found[1] == ">" else ("red", "green")
                limits = zip(colours, (None, float(found[2])), strict=True)
                steps = [{"color": colour, "value": value} for colour, value in limits]
                return {
                    "thresholds": {"mode": "absolute", "steps": steps},
                    "custom": {"thresholdsStyle": {"mode": "dashed"}},
                }
    return {}
