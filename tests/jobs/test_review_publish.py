"""``jobs.review publish`` with W&B's real library, against a stand-in for its server."""

import json
import os
import re
import subprocess
import sys
import time
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
from wandb.errors import AuthenticationError
from wandb.proto.wandb_api_pb2 import ApiErrorResponse
from wandb.sdk.lib.service.service_connection import WandbApiFailedError

from jobs.runtime.publish import Project
from pipeline.core.errors import InputError
from tests.fakes.wandb_held import View
from tests.fakes.wandb_server import KEY, serving
from tests.jobs.reviewed import make_bench, make_project, make_run

ROOT = Path(__file__).parents[2]
PROJECT = "team/dgx-pixels"
REPORT = "DGX-Pixels: review"
COPY = "Vmlldzo2"
"""Id of a second report of that title, made by somebody else later."""


class Twice(NamedTuple):
    """Both calls, what the server had after each, and the page of the project."""

    done: list[subprocess.CompletedProcess]
    before: list[View]
    after: list[View]
    url: str


def run(server, home, *argv, **env):
    """Run the command as a user with a login would."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    known = {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": KEY, "HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-m", "jobs.review", "publish", *map(str, argv)],
        cwd=ROOT, env=kept | known | env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert KEY not in done.stdout + done.stderr
    return done


@pytest.fixture
def server():
    with serving() as server:
        server.projects.add(PROJECT)
        yield server


@pytest.fixture
def publish(server, tmp_path):
    return partial(run, server, tmp_path)


@pytest.fixture
def runs(tmp_path):
    return make_project(tmp_path / "runs")


@pytest.fixture(scope="module")
def twice(tmp_path_factory):
    """Put there, then touched by people and put there anew: what the server had each time."""
    home = tmp_path_factory.mktemp("home")
    runs = make_project(home / "runs")
    with serving() as server:
        server.projects.add(PROJECT)
        # A server that has its pages below another path than its root.
        publish = partial(run, server, home, runs, WANDB_APP_URL=f"{server.url}/wandb")
        done = [publish()]
        before = deepcopy(server.views)
        make_bench(make_run(runs, "bench/loader/z", day=10), 3.0)
        report = named(server.views, REPORT)
        said = report.spec | {"discussionThreads": [{"id": "what we said"}]}
        report.told["spec"] = json.dumps(said)
        server.on_upsert_view({**report.told, "name": "copy", "spec": "{}"})
        named(server.views, "DGX-Pixels: training").told["displayName"] = "ours"
        done.append(publish())
    assert server.unknown == []
    assert [(each.returncode, each.stderr) for each in done] == [(0, "")] * 2
    return Twice(done, before, server.views, f"{server.url}/wandb/{PROJECT}")


def named(views, title) -> View:
    return next(each for each in views if each.told["displayName"] == title)


def grids(report: View) -> dict[str, dict]:
    """Return panel grids by the name of their run set."""
    found = [each["metadata"] for each in report.spec["blocks"] if each["type"] == "panel-grid"]
    return {each["runSets"][0]["name"]: each for each in found}


def wanted(run_set) -> dict[str, object]:
    return {each["key"]["name"]: each["value"] for each in run_set["filters"]["filters"]}


def keys(panels) -> list[str]:
    """Return what panels show: metrics, pictures, tables."""
    found = []
    for panel in panels:
        config = panel["config"]
        found += config.get("metrics") or config.get("mediaKeys") or []
        found += re.findall(r'"(?:val|value)": "(eval/[^"]*)"', json.dumps(config))
    return found


def report_of(views) -> View:
    """Return the report, the older one where there are two."""
    return named(views, REPORT)


def urls_of(done) -> list[str]:
    return re.findall(r"http\S+", done.stdout)


def test_the_report_names_what_our_runs_log(twice):
    report = named(twice.before, REPORT)
    shown = {
        name: keys(grid["panelBankSectionConfig"]["panels"]) for name, grid in grids(report).items()
    }
    assert shown["trainings"] == ["train/loss", "validation/loss", "speed/img_per_s"]
    assert shown["trainings and generations"] == ["samples", "contact_sheet"]
    assert shown["evaluations"] == ["eval/chart", "eval/metrics", "eval/ssim"]
    assert shown["bench throughput"] == ["bench/base.rate"]
    assert shown["all runs"] == ["gpu_hours", "gpu_hours"]
    sets = {name: wanted(grid["runSets"][0]) for name, grid in grids(report).items()}
    assert sets["trainings"] == {"jobType": ["train"]}
    assert sets["bench throughput"] == {"jobType": ["bench"], "group": "throughput"}
    assert sets["runs"] == {}
    told = json.dumps(report.spec)
    assert "| train | 1 | 1 | 2 |" in told
    assert all(url in told for url in urls_of(twice.done[0])[:5]), "it links to the views"
    assert "/runs/" not in told, "it names a place on a machine"


def test_what_is_put_there_anew_takes_the_place_of_what_was_there(twice):
    assert len(twice.before) == 6
    first, second = (report_of(views) for views in (twice.before, twice.after))
    assert {view.id for view in twice.after} - {view.id for view in twice.before} == {COPY}
    assert {view.id: view.num_told for view in twice.after if view.id != COPY} == {
        view.id: 2 for view in twice.before
    }
    assert urls_of(twice.done[0]) == urls_of(twice.done[1])
    assert [each.split()[0] for each in twice.done[1].stdout.splitlines()] == ["updated"] * 6
    assert "bench loader" not in grids(first)
    assert "bench loader" in grids(second)
    assert second.spec["discussionThreads"] == [{"id": "what we said"}]
    assert named(twice.after, "ours").id == named(twice.before, "DGX-Pixels: training").id


def test_views_are_of_each_kind_of_job_and_one_of_experiments(twice):
    views = [view for view in twice.before if view.told["type"] == "project-view"]
    jobs = {
        view.told["displayName"]: wanted(view.spec["section"]["runSets"][0]).get("jobType")
        for view in views
    }
    assert jobs == {
        "DGX-Pixels: training": ["train"],
        "DGX-Pixels: generation": ["generate"],
        "DGX-Pixels: evaluation": ["evaluate"],
        "DGX-Pixels: bench": ["bench", "smoke", "nccl"],
        "DGX-Pixels: experiments": None,
    }
    training = named(views, "DGX-Pixels: training").spec["section"]
    sections = training["panelBankConfig"]["sections"]
    assert {each["name"]: keys(each["panels"]) for each in sections} == {
        "Loss": ["train/loss", "validation/loss", "speed/img_per_s"],
        "Samples": ["samples"],
    }
    assert training["settings"]["xAxis"] == "num_images"
    together = named(views, "DGX-Pixels: experiments").spec["section"]["runSets"][0]["grouping"]
    assert [each["name"] for each in together] == ["group", "jobType"]
    assert all(url.startswith(twice.url) for url in urls_of(twice.done[0]))


@pytest.mark.parametrize(
    ("argv", "env", "said"),
    [
        ([], {"WANDB_API_KEY": ""}, "no login"),
        ([], {"WANDB_API_KEY": "f" * 40}, "no such key"),
        (["--project=other"], {}, "no project team/other"),
        (["--project=a/b"], {}, "--project"),
        (["--entity=a b/"], {}, "--entity"),
        (["--entity=else"], {}, "no project else/dgx-pixels"),
        (["--timeout-s=0"], {}, "--timeout-s"),
        (["--title=" + 129 * "x"], {}, "--title"),
        ([], {"WANDB_BASE_URL": f"https://me:{KEY}@host:port"}, "WANDB_BASE_URL"),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_made(runs, server, publish, argv, env, said):
    done = publish(runs, "--tries=1", *argv, **env)
    assert (done.returncode, done.stdout, server.views) == (2, "", []), done.stderr
    assert said in done.stderr.splitlines()[-1]
    assert done.stderr.count("\n") == 1
    assert "f" * 40 not in done.stderr


def test_a_server_that_does_not_answer_is_not_waited_for_long(runs, server, publish):
    server.failing = True
    begun_s = time.monotonic()
    done = publish(runs, "--tries=1", "--timeout-s=1")
    assert time.monotonic() - begun_s < 8
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "did not answer" in done.stderr


def test_without_runs_nothing_is_asked(server, publish, tmp_path):
    done = publish(tmp_path / "none")
    assert (done.returncode, done.stderr.count("\n"), server.asked) == (2, 1, [])


def test_silence_is_asked_again_and_a_no_is_not(monkeypatch):
    monkeypatch.setattr("jobs.runtime.publish.time.sleep", (paused := []).append)
    project = Project(entity="team", name="p", tries=3, pause_s=4.0)
    silent = [WandbApiFailedError("no answer"), WandbApiFailedError("no answer")]

    def answer():
        if silent:
            raise AuthenticationError("cannot be verified") from silent.pop()
        return "here"

    assert project._asked(answer) == "here"
    assert paused == [4.0, 8.0]

    said = ApiErrorResponse(http_status=403)
    asked = []

    def refuse():
        asked.append(1)
        raise WandbApiFailedError(f"not yours, {KEY}\nnor anybody's", response=said)

    with pytest.raises(InputError, match="not yours") as caught:
        project._asked(refuse)
    assert (len(asked), KEY in str(caught.value)) == (1, False)
