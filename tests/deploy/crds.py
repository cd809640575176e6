"""Field names and types of the custom resources we write, as closed JSON schemas.

Facts read from the published definitions, not copies of them; what we never write is left out
where it is deep. A cluster drops or refuses fields that its definition does not have, so here
an unknown name is an error.

- ScaledJob: kedacore/keda, ``config/crd/bases/keda.sh_scaledjobs.yaml``; keys of the trigger:
  ``pkg/scalers/prometheus_scaler.go`` and https://keda.sh/docs/latest/scalers/prometheus.
- PrometheusRule (0.76) and ServiceMonitor (0.87): prometheus-operator/prometheus-operator,
  ``example/prometheus-operator-crd/monitoring.coreos.com_*.yaml``.

When this was written, the three manifests were also valid under the validators of npm's
@kubernetes-models/keda 0.4.2 and @kubernetes-models/prometheus-operator 6.0.0, which are built
from those definitions.
"""

from typing import Any

Schema = dict[str, Any]
TEXT, WHOLE, FLAG = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}
TEXTS = {"type": "object", "additionalProperties": TEXT}
ANY: Schema = {}
_PARTS = "".join(f"([0-9]+{unit})?" for unit in ("y", "w", "d", "h", "m", "s", "ms"))
DURATION = {"type": "string", "pattern": f"^(0|{_PARTS})$"}
NUMBER_AS_TEXT = {"type": "string", "pattern": r"^-?[0-9.]+$"}


def closed(*needed: str, **fields: Schema) -> Schema:
    return {
        "type": "object",
        "properties": fields,
        "required": list(needed),
        "additionalProperties": False,
    }


def several(item: Schema) -> Schema:
    return {"type": "array", "items": item}


def resource(version: str, kind: str, spec: Schema) -> Schema:
    meta = closed("name", name=TEXT, namespace=TEXT, labels=TEXTS, annotations=TEXTS)
    named = {"apiVersion": {"const": version}, "kind": {"const": kind}}
    return closed("apiVersion", "kind", "metadata", "spec", metadata=meta, spec=spec, **named)


_PROMETHEUS_TRIGGER = closed(
    "serverAddress", "query", "threshold",
    serverAddress=TEXT, query=TEXT, queryParameters=TEXT, threshold=NUMBER_AS_TEXT,
    activationThreshold=NUMBER_AS_TEXT, namespace=TEXT, customHeaders=TEXT, ignoreNullValues=TEXT,
    unsafeSsl=TEXT, awsRegion=TEXT, timeout=TEXT, identityOwner=TEXT, authModes=TEXT,
)  # fmt: skip
_TRIGGER = closed(
    "type", "metadata",
    type={"const": "prometheus"}, metadata=_PROMETHEUS_TRIGGER, name=TEXT, useCachedMetrics=FLAG,
    metricType={"enum": ["Value", "AverageValue", "Utilization"]}, authenticationRef=ANY,
)  # fmt: skip
SCALED_JOB = resource(
    "keda.sh/v1alpha1",
    "ScaledJob",
    closed(
        "jobTargetRef", "triggers",
        jobTargetRef={"type": "object", "required": ["template"]},
        triggers=several(_TRIGGER), pollingInterval=WHOLE, minReplicaCount=WHOLE,
        maxReplicaCount=WHOLE, successfulJobsHistoryLimit=WHOLE, failedJobsHistoryLimit=WHOLE,
        envSourceContainerName=TEXT, rolloutStrategy=TEXT,
        rollout=closed(strategy=TEXT, propagationPolicy=TEXT),
        scalingStrategy=closed(
            strategy=TEXT, customScalingQueueLengthDeduction=WHOLE,
            customScalingRunningJobPercentage=TEXT, multipleScalersCalculation=TEXT,
            pendingPodConditions=several(TEXT),
        ),
    ),
)  # fmt: skip
"""``jobTargetRef`` is the spec of a Kubernetes Job, which has a schema of its own."""

_ACTIONS = ("replace", "keep", "drop", "hashmod", "labelmap", "labeldrop", "labelkeep",
            "lowercase", "uppercase", "keepequal", "dropequal")  # fmt: skip
_RELABELLING = closed(
    sourceLabels=several(TEXT), targetLabel=TEXT, separator=TEXT, regex=TEXT, replacement=TEXT,
    modulus=WHOLE, action={"enum": list(_ACTIONS)},
)  # fmt: skip
_ENDPOINT = closed(
    port=TEXT, targetPort={"type": ["string", "integer"]}, path=TEXT, scheme=TEXT, params=ANY,
    interval=DURATION, scrapeTimeout=DURATION, honorLabels=FLAG, honorTimestamps=FLAG,
    trackTimestampsStaleness=FLAG, filterRunning=FLAG, followRedirects=FLAG, enableHttp2=FLAG,
    relabelings=several(_RELABELLING), metricRelabelings=several(_RELABELLING),
    authorization=ANY, basicAuth=ANY, bearerTokenFile=TEXT, bearerTokenSecret=ANY, oauth2=ANY,
    tlsConfig=ANY, noProxy=TEXT, proxyUrl=TEXT, proxyFromEnvironment=FLAG, proxyConnectHeader=ANY,
)  # fmt: skip
SERVICE_MONITOR = resource(
    "monitoring.coreos.com/v1",
    "ServiceMonitor",
    closed(
        "endpoints", "selector",
        endpoints=several(_ENDPOINT),
        selector=closed(matchLabels=TEXTS, matchExpressions=ANY),
        namespaceSelector=closed(any=FLAG, matchNames=several(TEXT)),
        jobLabel=TEXT, targetLabels=several(TEXT), podTargetLabels=several(TEXT),
        sampleLimit=WHOLE, targetLimit=WHOLE, labelLimit=WHOLE, labelNameLengthLimit=WHOLE,
        labelValueLengthLimit=WHOLE, bodySizeLimit=TEXT, keepDroppedTargets=WHOLE,
        attachMetadata=closed(node=FLAG), scrapeClass=TEXT, scrapeProtocols=several(TEXT),
        fallbackScrapeProtocol=TEXT, selectorMechanism=TEXT, serviceDiscoveryRole=TEXT,
    ),
)  # fmt: skip

_RULE = closed(
    "expr", record=TEXT, alert=TEXT, expr=TEXT, keep_firing_for=DURATION, labels=TEXTS,
    annotations=TEXTS, **{"for": DURATION},
)  # fmt: skip
_RULE["oneOf"] = [{"required": ["record"]}, {"required": ["alert"]}]
_GROUP = closed(
    "name", name={"type": "string", "minLength": 1}, interval=DURATION, limit=WHOLE,
    partial_response_strategy=TEXT, rules=several(_RULE),
)  # fmt: skip
PROMETHEUS_RULE = resource(
    "monitoring.coreos.com/v1", "PrometheusRule", closed(groups=several(_GROUP))
)

CRDS = {
    "scaledjob.yaml": SCALED_JOB,
    "monitor.yaml": SERVICE_MONITOR,
    "queue-monitor.yaml": SERVICE_MONITOR,
    "rules.yaml": PROMETHEUS_RULE,
}
