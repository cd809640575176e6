"""What a stand-in for the W&B server holds: runs, artifacts, reports and saved views."""

import base64
import json
import threading
from dataclasses import dataclass, field
from typing import Any

ENTITY = "team"
WHEN = "2026-11-25T00:00:00Z"


@dataclass
class Received:
    """One run as the server has it."""

    told: dict[str, Any] = field(default_factory=dict)
    """What the client said when it made the run: displayName, groupName, jobType, tags, config."""
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    exit_code: int | None = None


@dataclass
class Artifact:
    """One artifact, with the run that made it and those that use it."""

    told: dict[str, Any]
    files: dict[str, bytes] = field(default_factory=dict)
    manifest: bytes = b""
    used_by: list[str] = field(default_factory=list)
    is_committed: bool = False

    def has_name(self, name: str, alias: str) -> bool:
        aliases = {each["alias"] for each in self.told["aliases"]}
        return self.told["artifactCollectionName"] == name and alias in aliases


@dataclass
class View:
    """A report (type ``runs``) or a saved view (``project-view``)."""

    id: str
    told: dict[str, Any]
    """What the client said last: entityName, projectName, type, name, displayName, description."""
    num_told: int = 1

    @property
    def spec(self) -> dict[str, Any]:
        return json.loads(self.told["spec"])

    def as_node(self) -> dict[str, Any]:
        kept = {key: self.told.get(key) for key in ("type", "name", "displayName", "description")}
        number = base64.b64decode(self.id).decode().rpartition(":")[2]
        when = f"2026-11-25T00:00:{int(number):02d}Z"
        place = {"id": "UHJvamVjdDox", "name": self.told["projectName"]}
        return {
            **kept, "id": self.id, "spec": self.told["spec"], "user": None, "createdAt": when,
            "updatedAt": when, "project": place | {"entityName": self.told["entityName"]},
        }  # fmt: skip


@dataclass
class Held:
    """What came in. Set ``failing`` to have every request refused with status 500."""

    url: str = ""
    runs: dict[str, Received] = field(default_factory=dict)
    artifacts: list[Artifact] = field(default_factory=list)
    projects: set[str] = field(default_factory=set)
    """Made by a run, as ``entity/name``."""
    views: list[View] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    """Names of GraphQL operations, in order."""
    unknown: list[str] = field(default_factory=list)
    """Operations this stand-in has no answer for."""
    failing: bool = False
    lock: threading.RLock = field(default_factory=threading.RLock)

    def run(self, name: str) -> Received:
        return self.runs.setdefault(name, Received())
