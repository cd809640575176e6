"""Prometheus and Alertmanager for a DGX without Kubernetes: plain files."""

from typing import Any

INTERVAL = "15s"

RENAMED_LABELS = {"Hostname": "hostname", "gpu_uuid": "UUID", "model_name": "modelName"}
"""dcgm-exporter's labels that differ between its versions, or between kinds of rows."""


def relabelling(*, camel: bool) -> list[dict[str, Any]]:
    """Return the relabelling of scraped series: each label under one name.

    Args:
        camel: As the Prometheus operator spells the keys, not as Prometheus does.
    """
    source, target = ("sourceLabels", "targetLabel") if camel else ("source_labels", "target_label")
    renamed: list[dict[str, Any]] = [
        {source: [old], "regex": "(.+)", target: new, "replacement": "$1"}
        for old, new in RENAMED_LABELS.items()
    ]
    return [*renamed, {"regex": "|".join(RENAMED_LABELS), "action": "labeldrop"}]


def prometheus() -> dict[str, Any]:
    """Return prometheus.yml; what is to be scraped is in files an admin writes beside it."""
    by_host = [
        {"source_labels": ["__address__"], "regex": "([^:]+):.*", "target_label": "hostname"}
    ]
    slurm = [
        {
            "job_name": f"slurm-{page}",
            "metrics_path": f"/metrics/{page}",
            "file_sd_configs": [{"files": ["targets/slurm.yml"]}],
        }
        for page in ("jobs", "nodes", "partitions", "scheduler")
    ]
    return {
        "global": {"scrape_interval": INTERVAL, "evaluation_interval": INTERVAL},
        "rule_files": ["dgx-pixels.rules.yml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": ["localhost:9093"]}]}]},
        "scrape_configs": [
            {
                "job_name": "dcgm",
                "file_sd_configs": [{"files": ["targets/dcgm.yml"]}],
                "metric_relabel_configs": relabelling(camel=False),
            },
            {
                "job_name": "node",
                "file_sd_configs": [{"files": ["targets/node.yml"]}],
                "relabel_configs": by_host,
            },
            {"job_name": "queue", "file_sd_configs": [{"files": ["targets/queue.yml"]}]},
            *slurm,
        ],
    }


def alertmanager() -> dict[str, Any]:
    """Return alertmanager.yml: receivers are named and empty, an address is the site's."""
    return {
        "route": {
            "receiver": "read-in-the-morning",
            "group_by": ["alertname", "hostname", "run"],
            "group_wait": "30s",
            "group_interval": "5m",
            "repeat_interval": "12h",
            "routes": [
                {"matchers": ['severity="critical"'], "receiver": "wake-somebody"},
                {"matchers": ['severity="info"'], "receiver": "shown-only"},
            ],
        },
        "inhibit_rules": [
            {
                # A node whose GPU fell off says much more than that; one word is enough.
                "source_matchers": ['alertname="GpuXidReboot"'],
                "target_matchers": ['severity!="critical"'],
                "equal": ["hostname"],
            }
        ],
        "receivers": [
            {"name": name} for name in ("read-in-the-morning", "wake-somebody", "shown-only")
        ],
    }
