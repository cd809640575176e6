"""Manifests against the schemas of Kubernetes."""

from typing import Any

import kubernetes_validate
import pytest

from deploy.observe import kubernetes

VERSION = "1.31"
BUILT_IN = {
    name: data
    for name, data in kubernetes.manifests().items()
    if data["apiVersion"] in ("v1", "apps/v1")
}  # fmt: skip


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
