"""Manifests for a cluster with the Prometheus operator, the GPU Operator and KEDA."""

import json
from typing import Any

from deploy.observe import rules, scrape
from deploy.observe.dashboards import dashboard
from deploy.observe.table import DASHBOARDS

NAMESPACE = "dgx-pixels"
OPERATOR = "gpu-operator"
"""The GPU Operator's, where it looks for the list of counters."""
RELEASE = {"release": "kube-prometheus-stack"}
"""The label by which the chart's Prometheus picks its rules and monitors."""
QUEUE_PORT = 9401
IMAGE_USER = 10001
"""Of deploy/container/Dockerfile."""
LISTS = {False: "dcgm-counters-to-4-5", True: "dcgm-counters-from-4-6"}


def manifests() -> dict[str, Any]:
    """Return every manifest by its file's name."""
    files: dict[str, Any] = {
        "namespace.yaml": {
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}
        },
        "rules.yaml": _object(
            "monitoring.coreos.com/v1", "PrometheusRule", "dgx-pixels", RELEASE,
            spec={"groups": rules.groups()},
        ),
        "monitor.yaml": _monitor(),
        "alertmanager.yaml": _object(
            "v1", "Secret", "alertmanager-dgx-pixels", {}, type="Opaque",
            stringData={"alertmanager.yaml": json.dumps(scrape.alertmanager(), indent=2)},
        ),
        "scaledjob.yaml": scaled_job(),
        **queue(),
    }  # fmt: skip
    for renamed, name in LISTS.items():
        data = {"dcgm-metrics.csv": rules.counters(renamed=renamed)}
        files[f"{name}.yaml"] = _object("v1", "ConfigMap", name, {}, data=data)
        files[f"{name}.yaml"]["metadata"]["namespace"] = OPERATOR
    for name in DASHBOARDS:
        data = {f"{name}.json": json.dumps(dashboard(name), indent=1)}
        files[f"dashboard-{name}.yaml"] = _object(
            "v1", "ConfigMap", f"dashboard-{name}", {"grafana_dashboard": "1"}, data=data
        )
    files["kustomization.yaml"] = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": sorted(files),
    }
    return files


def operator_values() -> dict[str, Any]:
    """Return values of NVIDIA's GPU Operator chart for DGX OS, which brings its own driver.

    Keys as in the chart's ``deployments/gpu-operator/values.yaml`` (NVIDIA/gpu-operator at
    39d0959, whose exporter is 4.6.0-4.8.3); ``hpcJobMapping`` came with its pull request 1894.
    """
    return {
        "driver": {"enabled": False},
        "toolkit": {"enabled": False},
        "dcgmExporter": {
            "enabled": True,
            # A chart with an exporter to 4.5 needs the other of LISTS: one must be changed here.
            "config": {"name": LISTS[True]},
            "serviceMonitor": {"enabled": False},
            "hpcJobMapping": {"enabled": True, "directory": "/var/lib/dgx-pixels/gpu-jobs"},
        },
    }


def scaled_job() -> dict[str, Any]:
    """Return KEDA's job: a pod is a worker of the queue, and takes a place in a run that waits.

    As many as the queue could use, those that run included, which KEDA takes off again.
    """
    trigger = {
        "type": "prometheus",
        "metadata": {
            "serverAddress": "http://prometheus-operated.monitoring:9090",
            "query": "sum(dgx_pixels_queue_wanted) or vector(0)",
            "threshold": "1",
            "activationThreshold": "0",
        },
    }
    pod = _pod("worker", "work", "/runs", "--by", "keda")
    # Told to go, a worker finishes the batch it draws.
    pod |= {"restartPolicy": "Never", "terminationGracePeriodSeconds": 120}
    pod["containers"][0]["resources"] = {"limits": {"nvidia.com/gpu": 1}}
    spec = {
        "jobTargetRef": {"parallelism": 1, "completions": 1, "backoffLimit": 0,
                         "template": {"spec": pod}},
        "pollingInterval": 30,
        "minReplicaCount": 0,
        "maxReplicaCount": 8,
        "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 3,
        "triggers": [trigger],
    }  # fmt: skip
    return _object("keda.sh/v1alpha1", "ScaledJob", "generate", {}, spec=spec)


def queue() -> dict[str, Any]:
    """Return what shows the queue to Prometheus: one small pod, its service, its monitor."""
    label = {"app": "dgx-pixels-queue"}
    pod = _pod("queue", "serve", "/runs", "--address", "0.0.0.0", "--port", str(QUEUE_PORT))
    port = {"name": "metrics", "containerPort": QUEUE_PORT}
    answers = {"httpGet": {"path": "/metrics", "port": "metrics"}}
    pod["containers"][0] |= {"ports": [port], "readinessProbe": answers}
    template = {"metadata": {"labels": label}, "spec": pod}
    endpoint = {"port": "metrics", "interval": scrape.INTERVAL}
    return {
        "queue-deployment.yaml": _object(
            "apps/v1", "Deployment", "queue", label,
            spec={"replicas": 1, "selector": {"matchLabels": label}, "template": template},
        ),
        "queue-service.yaml": _object(
            "v1", "Service", "queue", label,
            spec={"selector": label, "ports": [{"name": "metrics", "port": QUEUE_PORT}]},
        ),
        "queue-monitor.yaml": _object(
            "monitoring.coreos.com/v1", "ServiceMonitor", "queue", RELEASE,
            spec={"selector": {"matchLabels": label}, "endpoints": [endpoint]},
        ),
    }  # fmt: skip


def _pod(name: str, *arguments: str) -> dict[str, Any]:
    """A pod of the image on the shared runs, with no rights and nothing to write to but those."""
    container = {
        "name": name,
        "image": "dgx-pixels",
        "args": ["jobs.queue", *arguments],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "runs", "mountPath": "/runs"},
            {"name": "scratch", "mountPath": "/tmp"},
        ],
    }
    return {
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": IMAGE_USER,
            "fsGroup": IMAGE_USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [
            {"name": "runs", "persistentVolumeClaim": {"claimName": "dgx-pixels-runs"}},
            {"name": "scratch", "emptyDir": {}},
        ],
    }


def _monitor() -> dict[str, Any]:
    # The job of its series is "dcgm", as in the plain prometheus.yml: one set of rules serves both.
    # Label and port: NVIDIA/gpu-operator, assets/state-dcgm-exporter/0400_service.yaml.
    endpoint = {
        "port": "gpu-metrics",
        "interval": scrape.INTERVAL,
        "relabelings": [{"targetLabel": "job", "replacement": "dcgm"}],
        "metricRelabelings": scrape.relabelling(camel=True),
    }
    spec = {
        "namespaceSelector": {"matchNames": [OPERATOR]},
        "selector": {"matchLabels": {"app": "nvidia-dcgm-exporter"}},
        "endpoints": [endpoint],
    }
    return _object("monitoring.coreos.com/v1", "ServiceMonitor", "dcgm", RELEASE, spec=spec)


def _object(
    version: str, kind: str, name: str, labels: dict[str, str], **body: object
) -> dict[str, Any]:
    meta: dict[str, Any] = {"name": name, "namespace": NAMESPACE}
    if labels:
        meta["labels"] = labels
    return {"apiVersion": version, "kind": kind, "metadata": meta, **body}
