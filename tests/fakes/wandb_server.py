"""A stand-in for the W&B server: what the real clients ask for, of runs, reports and saved views.

GraphQL at ``/graphql``, rows of a run at ``/files/.../file_stream``, files by PUT at ``/storage``.
Answers have the shape of the clients' own queries (wandb 0.31.0, wandb-workspaces 0.4.13); nothing
is checked that a server would check, but the key, and whether a project is there.
"""

import base64
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "0123456789abcdef0123456789abcdef01234567"
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
class WandbServer:
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

    # ---- GraphQL, one method an operation

    def answer(self, query: str, given: dict[str, Any]) -> dict[str, Any]:
        found = re.search(r"(?:query|mutation)\s+(\w+)", query)
        name = found.group(1) if found else "?"
        with self.lock:
            self.asked.append(name)
            method = getattr(self, f"on_{_snake(name)}", None)
            if method is None:
                self.unknown.append(name)
                return {}
            try:
                return method(given)
            except Exception as error:
                self.unknown.append(f"{name}: {error!r}")
                raise

    def on_viewer(self, given):
        return {"viewer": {
            "id": "viewer", "entity": ENTITY, "username": "someone", "email": "", "flags": "{}",
            "teams": {"edges": []},
        }}  # fmt: skip

    def on_get_default_entity(self, given):
        return {"viewer": {"id": "viewer", "entity": ENTITY}}

    def on_server_features_query(self, given):
        return {"serverInfo": {"features": []}}

    def on_organization_core_weave_organization_i_d(self, given):
        return {"entity": {"organization": {"coreWeaveOrganizationId": ""}}}

    def on_run_resume_status(self, given):
        return {"model": None}

    def on_upsert_bucket(self, given):
        name = given["name"]
        inserted = name not in self.runs
        run = self.run(name)
        run.told |= {key: value for key, value in given.items() if value is not None}
        project = {
            "id": "project", "name": given.get("project") or "uncategorized",
            "entity": {"id": "entity", "name": given.get("entity") or ENTITY},
        }  # fmt: skip
        self.projects.add(f"{project['entity']['name']}/{project['name']}")
        bucket = {
            "id": f"bucket-{name}", "name": name, "displayName": run.told.get("displayName"),
            "description": "", "config": run.told.get("config") or "{}", "sweepName": None,
            "project": project, "historyLineCount": len(run.history),
        }  # fmt: skip
        return {"upsertBucket": {"bucket": bucket, "inserted": inserted}}

    def on_create_run_files(self, given):
        files = [
            {"name": name, "uploadUrl": f"{self.url}/storage/run/{given['run']}/{name}"}
            for name in given["files"]
        ]
        told = {"runID": f"bucket-{given['run']}", "uploadHeaders": [], "files": files}
        return {"createRunFiles": told}

    def on_mark_run_files_uploaded(self, given):
        return {"markRunFilesUploaded": {"success": True}}

    def on_create_artifact(self, given):
        told = given["input"]
        for number, artifact in enumerate(self.artifacts):
            if artifact.told["digest"] == told["digest"] and artifact.is_committed:
                return self._created(number, "COMMITTED")
        self.artifacts.append(Artifact(told))
        return self._created(len(self.artifacts) - 1, "PENDING")

    def _created(self, number: int, state: str) -> dict[str, Any]:
        sequence = {"id": f"sequence-{number}", "latestArtifact": None}
        told = {"id": str(number), "state": state, "artifactSequence": sequence}
        return {"createArtifact": {"artifact": told}}

    def on_create_artifact_manifest(self, given):
        return {"createArtifactManifest": self._manifest(given["artifactID"])}

    def on_update_artifact_manifest(self, given):
        return {"updateArtifactManifest": self._manifest(given["artifactManifestID"])}

    def _manifest(self, number: str) -> dict[str, Any]:
        url = f"{self.url}/storage/manifest/{number}/wandb_manifest.json"
        file = {"id": f"file-{number}", "uploadUrl": url, "uploadHeaders": []}
        return {"artifactManifest": {"id": number, "file": file}}

    def on_create_artifact_files(self, given):
        nodes = []
        for each in given["input"]["artifactFiles"]:
            number, name = each["artifactID"], each["name"]
            nodes.append({
                "storagePath": f"artifact/{number}/{name}", "uploadHeaders": [],
                "uploadUrl": f"{self.url}/storage/artifact/{number}/{name}",
                "uploadMultipartUrls": None, "artifact": {"id": number},
            })  # fmt: skip
        return {"createArtifactFiles": {"files": {"edges": [{"node": node} for node in nodes]}}}

    def on_commit_artifact(self, given):
        artifact = self.artifacts[int(given["artifactID"])]
        artifact.is_committed = True
        told = {"id": given["artifactID"], "digest": artifact.told["digest"]}
        return {"commitArtifact": {"artifact": told}}

    def on_use_artifact(self, given):
        told = given.get("input", given)
        self.artifacts[int(told["artifactID"])].used_by.append(told["runName"])
        return {"useArtifact": {"artifact": {"id": told["artifactID"]}}}

    # ---- what is looked up to tell what a run uses

    def on_run(self, given):
        if given["name"] not in self.runs:
            return {"project": {"run": None}}
        told = self.runs[given["name"]].told
        run = {
            "id": f"bucket-{given['name']}", "name": given["name"], "projectId": "1", "tags": [],
            "displayName": told.get("displayName"), "sweepName": None, "state": "finished",
            "config": "{}", "group": told.get("groupName"), "jobType": told.get("jobType"),
            "commit": None, "readOnly": False, "createdAt": WHEN, "heartbeatAt": WHEN,
            "description": None, "notes": None, "systemMetrics": "{}", "summaryMetrics": "{}",
            "historyLineCount": 0, "user": {"name": "Someone", "username": "someone"},
            "historyKeys": {},
        }  # fmt: skip
        return {"project": {"run": run}}

    def _named(self, told: str) -> list[int]:
        name, _, alias = told.partition(":")
        return [
            n for n, each in enumerate(self.artifacts) if each.has_name(name, alias or "latest")
        ]

    def on_artifact_type(self, given):
        kinds = [self.artifacts[n].told["artifactTypeName"] for n in self._named(given["name"])]
        told = {"artifactType": {"name": kinds[-1]}} if kinds else None
        return {"project": {"artifact": told}}

    def on_artifact_membership_by_name(self, given):
        name = given["name"].partition(":")[0]
        numbers = self._named(given["name"])
        if not numbers:
            return {"project": {"artifactCollectionMembership": None}}
        artifact = self.artifacts[numbers[-1]]
        project = {
            "id": "project", "internalId": "1", "name": given["project"],
            "entity": {"name": given["entity"]},
        }  # fmt: skip
        collection = {"__typename": "ArtifactSequence", "name": name, "project": project}
        told = {
            "__typename": "Artifact", "id": str(numbers[-1]), "artifactSequence": collection,
            "versionIndex": 0, "artifactType": {"name": artifact.told["artifactTypeName"]},
            "description": None, "metadata": "{}", "ttlDurationSeconds": -2,
            "ttlIsInherited": False, "tags": [], "historyStep": None, "state": "COMMITTED",
            "size": 1, "digest": artifact.told["digest"], "commitHash": None, "fileCount": 1,
            "createdAt": WHEN, "updatedAt": None, "aliases": [],
        }  # fmt: skip
        membership = {
            "__typename": "ArtifactCollectionMembership", "id": "membership", "versionIndex": 0,
            "createdAt": WHEN, "aliases": [], "artifactCollection": collection, "artifact": told,
        }  # fmt: skip
        return {"project": {"artifactCollectionMembership": membership}}

    # ---- reports and saved views

    def on_project_views(self, given):
        edges = self._edges(given["entity"], given["project"], "runs")
        page = {"endCursor": None, "hasNextPage": False}
        return self._project(given["entity"], given["project"], {"edges": edges, "pageInfo": page})

    def on_view(self, given):
        edges = self._edges(given["entityName"], given["name"], given["viewType"])
        named = [each for each in edges if each["node"]["name"] == given["viewName"]]
        return self._project(given["entityName"], given["name"], {"edges": named})

    def _edges(self, entity: str, project: str, kind: str) -> list[dict[str, Any]]:
        wanted = {"entityName": entity, "projectName": project, "type": kind}
        views = [each for each in self.views if wanted.items() <= each.told.items()]
        return [{"node": each.as_node(), "cursor": each.id} for each in views]

    def _project(self, entity: str, name: str, views: dict[str, Any]) -> dict[str, Any]:
        return {"project": {"allViews": views} if f"{entity}/{name}" in self.projects else None}

    def on_project_internal_id(self, given):
        is_there = f"{given['entityName']}/{given['projectName']}" in self.projects
        return {"project": {"id": "UHJvamVjdDox", "internalId": "1"} if is_there else None}

    def on_get_projects(self, given):
        names = [each.partition("/")[2] for each in sorted(self.projects)]
        nodes = [
            {
                "__typename": "Project", "id": "UHJvamVjdDox", "name": name, "user": None,
                "entityName": given["entity"], "createdAt": WHEN, "isBenchmark": False,
            }
            for name in names
        ]  # fmt: skip
        page = {"__typename": "PageInfo", "endCursor": None, "hasNextPage": False}
        return {"models": {"pageInfo": page, "edges": [{"node": node} for node in nodes]}}

    def on_specific_report(self, given):
        (view,) = [each for each in self.views if each.id == given["reportId"]]
        return {"view": view.as_node()}

    def on_upsert_view(self, given):
        found = [each for each in self.views if each.id == given.get("id")]
        if found:
            found[0].told |= {key: value for key, value in given.items() if key != "id"}
            found[0].num_told += 1
        else:
            number = base64.b64encode(f"View:{len(self.views)}".encode()).decode()
            self.views.append(View(id=number, told=given))
        view = found[0] if found else self.views[-1]
        return {"upsertView": {"view": view.as_node(), "inserted": not found}}

    on_upsert_view2 = on_upsert_view

    # ---- what a list of runs asks for

    def on_runs(self, given):
        """Answer a page, the newest first; of the filters, times of creation alone are heeded."""
        nodes = [self._listed(name) for name in self.runs]
        between = json.loads(given["filters"]).get("createdAt", {})
        nodes = [
            node
            for node in sorted(nodes, key=lambda node: node["createdAt"], reverse=True)
            if between.get("$gte", "") <= node["createdAt"] < between.get("$lt", "9")
        ]
        first = int(given.get("cursor") or 0)
        last = first + int(given["perPage"])
        edges = [
            {"node": node, "cursor": str(at + 1)}
            for at, node in enumerate(nodes[first:last], start=first)
        ]
        page = {"endCursor": str(last), "hasNextPage": last < len(nodes)}
        return {"project": {
            "internalId": "1", "runCount": len(nodes), "readOnly": False,
            "runs": {"edges": edges, "pageInfo": page},
        }}  # fmt: skip

    def _listed(self, name: str) -> dict[str, Any]:
        run = self.runs[name]
        return self.on_run({"name": name})["project"]["run"] | {
            "createdAt": run.told.get("createdAt", WHEN),
            "state": run.told.get("state", "finished"),
            "summaryMetrics": json.dumps(run.summary),
        }

    # ---- the other two

    def stream(self, run_name: str, told: dict[str, Any]) -> None:
        with self.lock:
            run = self.run(run_name)
            files = told.get("files") or {}
            history = files.get("wandb-history.jsonl")
            if history:
                rows = [json.loads(line) for line in history["content"]]
                run.history[history["offset"] :] = rows
            for line in (files.get("wandb-summary.json") or {}).get("content") or []:
                run.summary |= json.loads(line)
            if told.get("complete"):
                run.exit_code = told.get("exitcode")

    def store(self, path: str, data: bytes) -> None:
        kind, owner, name = path.split("/", 2)
        with self.lock:
            if kind == "run":
                self.run(owner).files[name] = data
            elif kind == "manifest":
                self.artifacts[int(owner)].manifest = data
            else:
                self.artifacts[int(owner)].files[name] = data


class Server(ThreadingHTTPServer):
    daemon_threads = True
    received: WandbServer

    def handle_error(self, *args: object) -> None:
        """The client leaves without closing its connections."""


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self._body()
        if self.server.received.failing:
            return self._say(500, {"error": "failing, as asked"})
        if self.path.startswith("/graphql"):
            if not _has_key(self.headers.get("Authorization", "")):
                return self._say(401, {"errors": [{"message": "no such key"}]})
            asked = json.loads(body)
            data = self.server.received.answer(asked["query"], asked.get("variables") or {})
            return self._say(200, {"data": data})
        stream = re.fullmatch(r"/files/[^/]+/[^/]+/([^/]+)/file_stream", self.path)
        if stream:
            self.server.received.stream(stream.group(1), json.loads(body))
        return self._say(200, {})

    def do_PUT(self):
        body = self._body()
        if self.server.received.failing:
            return self._say(500, {"error": "failing, as asked"})
        self.server.received.store(self.path.removeprefix("/storage/"), body)
        return self._say(200, {})

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _say(self, status: int, told: dict[str, Any]) -> None:
        data = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[WandbServer]:
    """Serve on a free port of this machine until the block ends."""
    server = WandbServer()

    http = Server(("127.0.0.1", 0), Handler)
    http.received = server
    server.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


def _has_key(header: str) -> bool:
    try:
        return base64.b64decode(header.removeprefix("Basic ")).decode() == f"api:{KEY}"
    except ValueError:
        return False


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
