"""What an image is pinned to and what gets into it, as far as files can say."""

import json
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "deploy" / "container" / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((ROOT / "deploy" / "container" / "compose.yaml").read_text())
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


def test_known_false_alarms_are_still_in_files() -> None:
    baseline = json.loads((ROOT / "deploy" / "ops" / "secrets.json").read_text())
    for name, found in baseline["results"].items():
        assert (ROOT / name).is_file(), name
        assert all(f["is_verified"] is False for f in found)
