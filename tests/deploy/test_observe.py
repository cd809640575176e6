import json
import os
import subprocess
from collections import Counter
from pathlib import Path

import pytest
import yaml

from bench.telemetry.fields import BY_DCGM_NAME
from deploy.observe import kubernetes, rules
from deploy.observe.generate import ROOT, build
from deploy.observe.signals import names_of
from deploy.observe.table import DASHBOARDS, SIGNALS
from deploy.observe.xid import ACTIONS, KNOWN_HARMLESS

SCRIPTS = ROOT / "deploy/slurm"


@pytest.mark.parametrize("path", build())
def test_files_are_what_the_table_gives(path: str) -> None:
    assert (ROOT / path).read_text() == build()[path]


def test_no_generated_file_is_left_over() -> None:
    made = {path for path in build() if path.startswith("deploy/")}
    made |= {"deploy/slurm/prolog.sh", "deploy/slurm/epilog.sh"}
    found = {
        str(file.relative_to(ROOT))
        for folder in ("deploy/k8s", "deploy/slurm")
        for file in (ROOT / folder).rglob("*")
        if file.is_file() and "targets" not in file.parts
    }
    assert found == made


def test_rows_are_whole_and_names_are_used_once() -> None:
    alerts = [alert for signal in SIGNALS for alert in signal.alerts]
    for names in ([signal.name for signal in SIGNALS], [alert.name for alert in alerts]):
        assert [name for name, times in Counter(names).items() if times > 1] == []
    assert {signal.dashboard for signal in SIGNALS if signal.panel} == set(DASHBOARDS)
    assert all(signal.query and signal.legend for signal in SIGNALS if signal.panel)
    assert {alert.severity for alert in alerts} == {"critical", "warning", "info"}


def test_every_gpu_name_a_rule_or_panel_reads_is_recorded() -> None:
    """A misspelt series is no error to Prometheus: it has no data, so its alert never fires."""
    recorded = {rule["record"] for rule in rules.groups()[0]["rules"] if "record" in rule}
    for signal in SIGNALS:
        for expr in (signal.query, *(alert.expr for alert in signal.alerts)):
            words = expr.replace("(", " ").replace("[", " ").replace("{", " ").split()
            read = {word.strip(")") for word in words if word.startswith("gpu:")}
            assert read <= recorded, signal.name


def test_each_list_has_names_of_its_own_family_and_no_field_twice() -> None:
    for renamed in (False, True):
        names = [line.split(",")[0] for line in rules.counters(renamed=renamed).splitlines()[1:]]
        fields = [BY_DCGM_NAME[name] for name in names if name in BY_DCGM_NAME]
        assert len(fields) == len(names) - 1  # all but the exporter's own count of XIDs
        assert len({field.dcgm_id for field in fields}) == len(fields)
        for name, field in zip(names, fields, strict=False):
            other = field.old if renamed else field.new
            assert name != other or len(names_of(field)) == 1


def test_every_xid_has_one_class() -> None:
    exprs = [alert.expr for signal in SIGNALS for alert in signal.alerts
             if alert.name.startswith("GpuXid") and 'xid=~"' in alert.expr]  # fmt: skip
    codes = [code for expr in exprs for code in expr.split('"')[1].split("|")]
    assert sorted(codes, key=int) == sorted(map(str, ACTIONS), key=int)
    assert not set(ACTIONS) & set(KNOWN_HARMLESS)


def test_kustomization_names_every_manifest() -> None:
    files = {path.removeprefix("deploy/k8s/") for path in build() if "/k8s/" in path}
    named = yaml.safe_load(build()["deploy/k8s/kustomization.yaml"])["resources"]
    assert set(named) == files - {"kustomization.yaml", "gpu-operator-values.yml"}


def test_both_kinds_of_machine_have_the_same_rules_and_dashboards() -> None:
    files = build()
    k8s = yaml.safe_load(files["deploy/k8s/rules.yaml"])["spec"]["groups"]
    assert k8s == yaml.safe_load(files["deploy/slurm/dgx-pixels.rules.yml"])["groups"]
    for name in DASHBOARDS:
        held = yaml.safe_load(files[f"deploy/k8s/dashboard-{name}.yaml"])["data"][f"{name}.json"]
        assert json.loads(held) == json.loads(files[f"deploy/slurm/dashboards/{name}.json"])


def test_panels_of_a_dashboard_do_not_overlap() -> None:
    for name in DASHBOARDS:
        panels = json.loads(build()[f"deploy/slurm/dashboards/{name}.json"])["panels"]
        places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
        assert len(places) == len(panels)


def test_scaled_job_asks_for_what_is_written() -> None:
    (trigger,) = kubernetes.scaled_job()["spec"]["triggers"]
    assert any(signal.name in trigger["metadata"]["query"] for signal in SIGNALS)


def run(script: str, folder: Path, **variables: str) -> None:
    env = {"DGX_PIXELS_GPU_JOBS": str(folder), **variables}
    done = subprocess.run([SCRIPTS / script], env=env, capture_output=True, check=False)
    assert done.returncode == 0, "the node would be drained"


def held(folder: Path) -> dict[str, list[str]]:
    return {file.name: file.read_text().split() for file in folder.glob("[0-9]*")}


def test_gpus_bear_their_jobs_while_these_run(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    run("prolog.sh", folder, SLURM_JOB_ID="7", SLURM_JOB_GPUS="0,3")
    run("prolog.sh", folder, SLURM_JOB_ID="8", SLURM_JOB_GPUS="3")
    run("prolog.sh", folder, SLURM_JOB_ID="8", SLURM_JOB_GPUS="3")
    run("prolog.sh", folder, SLURM_JOB_ID="78", SLURM_JOB_GPUS="1")
    assert held(folder) == {"0": ["7"], "3": ["7", "8"], "1": ["78"]}
    run("epilog.sh", folder, SLURM_JOB_ID="7")
    assert held(folder) == {"3": ["8"], "1": ["78"]}
    assert not list(folder.glob(".new"))


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"SLURM_JOB_ID": "7"},
        {"SLURM_JOB_ID": "7", "SLURM_JOB_GPUS": "GPU-1,../x,$(touch y)"},
        {"SLURM_JOB_ID": "../../x", "SLURM_JOB_GPUS": "0"},
    ],
)
def test_what_is_no_job_and_no_gpu_leaves_no_file(
    tmp_path: Path, variables: dict[str, str]
) -> None:
    for script in ("prolog.sh", "epilog.sh"):
        run(script, tmp_path / "jobs", **variables)
    assert {file.name for file in tmp_path.rglob("*")} <= {"jobs", ".lock"}


def test_a_folder_that_cannot_be_made_drains_no_node(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for script in ("prolog.sh", "epilog.sh"):
        run(script, tmp_path / "file", SLURM_JOB_ID="7", SLURM_JOB_GPUS="0")


def test_scripts_may_be_run() -> None:
    assert all(os.access(SCRIPTS / name, os.X_OK) for name in ("prolog.sh", "epilog.sh"))
