"""A stand-in for the W&B server: how clients look up runs, reports and saved views."""

import base64
import json
from typing import Any

from tests.fakes.wandb_held import WHEN, Held, View


class Lookups(Held):
    """One method an operation of GraphQL."""

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


class Views(Held):
    """One method an operation of GraphQL."""

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
