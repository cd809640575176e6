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
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.fakes.wandb_held import ENTITY, Artifact
from tests.fakes.wandb_lookups import Lookups, Views

KEY = "0123456789abcdef0123456789abcdef01234567"


class WandbServer(Lookups, Views):
    """Takes what runs send, and answers who asks: one method an operation of GraphQL."""

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
