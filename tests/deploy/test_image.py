"""What an image is pinned to and what gets into it, as far as files can say."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from deploy.observe.table import DASHBOARDS

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "deploy" / "container" / "Dockerfile").read_text()
CONTAINER = ROOT / "deploy" / "container"
COMPOSE = yaml.safe_load((CONTAINER / "compose.yaml").read_text())
IGNORED = [
    line
    for line in (ROOT / ".dockerignore").read_text().splitlines()
    if line and not line.startswith("#")
]


def test_every_base_is_pinned_by_a_digest_that_must_be_given() -> None:
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert len(bases) == 3
    assert all(re.search(r"@\$\{(BASE|UV)_DIGEST\}$", base) for base in bases), bases
    assert not re.search(r"^ARG (BASE|UV)_DIGEST=", DOCKERFILE, re.MULTILINE)


def test_it_ends_as_a_user_without_rights() -> None:
    users = re.findall(r"^USER (\S+)", DOCKERFILE, re.MULTILINE)
    assert users == ["${UID}:${UID}"]
    assert re.search(r"^ARG UID=([1-9]\d{3,})$", DOCKERFILE, re.MULTILINE)


def test_torch_is_the_one_of_make_setup() -> None:
    pin = re.search(r"torch==(\S+)", (ROOT / "Makefile").read_text())
    assert pin is not None
    assert f" torch=={pin[1]} " in DOCKERFILE


def test_only_what_is_named_gets_into_the_context() -> None:
    assert IGNORED[0] == "*"
    for line in IGNORED[1:]:
        if line.startswith("!"):
            assert (ROOT / line[1:]).exists(), line
    assert {"!requirements.lock", "!jobs/", "!configs/", "**/.*"} <= set(IGNORED)
    assert not {"!data/", "!runs/", "!build/", "!.git/"} & set(IGNORED)


@pytest.mark.parametrize("name", sorted(COMPOSE["services"]))
def test_services_are_confined(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["profiles"]
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:"), port
    assert not service.get("privileged")


def mounts(name: str) -> dict[str, str]:
    """What a service mounts, by where it finds it; the variables at their defaults."""
    found = {}
    for mount in COMPOSE["services"][name]["volumes"]:
        source, target = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", mount).split(":")[:2]
        found[target] = source
    return found


def read(name: str, target: str) -> Any:
    """A mounted file, or one in a mounted folder."""
    found = mounts(name)
    folder = target if target in found else str(Path(target).parent)
    inside = Path(target).relative_to(folder)
    return yaml.safe_load((CONTAINER / found[folder] / inside).read_text())


@pytest.mark.parametrize("name", sorted(COMPOSE["services"]))
def test_what_is_mounted_is_there_or_is_a_volume(name: str) -> None:
    for target, source in mounts(name).items():
        if source.startswith(".") and not source.startswith("../../build/"):
            assert (CONTAINER / source).exists(), target
        elif not source.startswith((".", "/")):
            assert source in COMPOSE["volumes"], target


def test_prometheus_finds_its_rules_targets_and_alertmanager() -> None:
    config = read("prometheus", "/etc/prometheus/prometheus.yml")
    for name in config["rule_files"]:
        assert f"/etc/prometheus/{name}" in mounts("prometheus")
    folders = {Path(file).parent.name for scrape in config["scrape_configs"]
               for files in scrape["file_sd_configs"] for file in files["files"]}  # fmt: skip
    assert all(f"/etc/prometheus/{folder}" in mounts("prometheus") for folder in folders)
    alerting = config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"]
    nodes = yaml.safe_load((CONTAINER / "targets/node.yml").read_text())[0]["targets"]
    assert [*alerting, *nodes] == ["localhost:9093", "localhost:9100"]
    # localhost is the others' only while they share a network.
    for name in ("alertmanager", "node"):
        assert COMPOSE["services"][name]["network_mode"] == "service:prometheus"


def test_grafana_finds_prometheus_and_the_dashboards() -> None:
    folder = "/etc/grafana/provisioning"
    (source,) = read("grafana", f"{folder}/datasources/prometheus.yml")["datasources"]
    address = COMPOSE["services"]["grafana"]["environment"][source["url"].removeprefix("$")]
    assert urlsplit(address).hostname in COMPOSE["services"]
    assert source["isDefault"]
    (provider,) = read("grafana", f"{folder}/dashboards/dgx-pixels.yml")["providers"]
    boards = CONTAINER / mounts("grafana")[provider["options"]["path"]]
    assert {file.stem for file in boards.glob("*.json")} == set(DASHBOARDS)


def test_known_false_alarms_are_still_in_files() -> None:
    baseline = json.loads((ROOT / "deploy" / "ops" / "secrets.json").read_text())
    for name, found in baseline["results"].items():
        assert (ROOT / name).is_file(), name
        assert all(f["is_verified"] is False for f in found)
