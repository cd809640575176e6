"""Manifests against the schemas of Kubernetes, and the custom ones against ``crds``."""

import copy
from collections.abc import Callable
from typing import Any

import jsonschema
import kubernetes_validate
import pytest

from deploy.observe import kubernetes
from tests.deploy.crds import CRDS

VERSION = "1.31"
MANIFESTS = kubernetes.manifests()
BUILT_IN = {
    name: data for name, data in MANIFESTS.items() if data["apiVersion"] in ("v1", "apps/v1")
}


def validate(data: dict[str, Any]) -> None:
    kubernetes_validate.validate(data, VERSION, strict=True)


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_kinds_fit_their_schemas(name: str) -> None:
    validate(BUILT_IN[name])


def test_what_keda_starts_is_a_job_that_kubernetes_takes() -> None:
    spec = kubernetes.scaled_job()["spec"]["jobTargetRef"]
    validate(
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "generate"}, "spec": spec}
    )


def test_a_misspelt_key_is_seen() -> None:
    """Else the tests above could not fail."""
    wrong = {**BUILT_IN["namespace.yaml"], "metdata": {}}
    with pytest.raises(kubernetes_validate.ValidationError):
        validate(wrong)


def test_every_manifest_has_a_schema() -> None:
    assert set(MANIFESTS) == {*BUILT_IN, *CRDS, "kustomization.yaml"}


@pytest.mark.parametrize("name", CRDS)
def test_custom_kinds_have_the_fields_and_types_of_their_definitions(name: str) -> None:
    jsonschema.validate(MANIFESTS[name], CRDS[name])


def test_the_operator_is_told_of_a_list_that_is_there() -> None:
    name = kubernetes.operator_values()["dcgmExporter"]["config"]["name"]
    held = MANIFESTS[f"{name}.yaml"]
    assert held["metadata"]["namespace"] == kubernetes.OPERATOR
    # The key it looks for, as its chart says.
    assert list(held["data"]) == ["dcgm-metrics.csv"]


def _polling(spec: dict[str, Any]) -> None:
    spec["pollingInterval"] = "30"


def _threshold(spec: dict[str, Any]) -> None:
    spec["triggers"][0]["metadata"]["threshold"] = 1000


def _metric_name(spec: dict[str, Any]) -> None:
    # Removed from the trigger in KEDA 2.12.
    spec["triggers"][0]["metadata"]["metricName"] = "waiting"


def _plain_spelling(spec: dict[str, Any]) -> None:
    spec["endpoints"][0]["metricRelabelings"][0]["source_labels"] = ["x"]


def _no_selector(spec: dict[str, Any]) -> None:
    del spec["selector"]


def _two_in_one(spec: dict[str, Any]) -> None:
    spec["groups"][0]["rules"][0]["alert"] = "Also"


def _hold(spec: dict[str, Any]) -> None:
    spec["groups"][0]["rules"][-1]["for"] = "5 minutes"


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("scaledjob.yaml", _polling), ("scaledjob.yaml", _threshold),
        ("scaledjob.yaml", _metric_name), ("monitor.yaml", _plain_spelling),
        ("monitor.yaml", _no_selector), ("rules.yaml", _two_in_one), ("rules.yaml", _hold),
    ],
)  # fmt: skip
def test_a_wrong_field_of_a_custom_kind_is_seen(
    name: str, spoil: Callable[[dict[str, Any]], None]
) -> None:
    wrong = copy.deepcopy(MANIFESTS[name])
    spoil(wrong["spec"])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, CRDS[name])
