"""Rules and dashboards against Prometheus' own programs."""

import json
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.observe import picture, rules, scrape
from deploy.observe.ask import Window, curves
from deploy.observe.dashboards import VARIABLES, dashboard
from deploy.observe.signals import names_of
from deploy.observe.table import DASHBOARDS, SIGNALS
from pipeline.core.errors import InputError
from tests.deploy.promtool import FIELDS, write
from tests.deploy.rule_cases import CASES
from tests.fakes import exporter

pytestmark = pytest.mark.prometheus
ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy/slurm/dgx-pixels.rules.yml"
ALERTS = {alert.name: alert for signal in SIGNALS for alert in signal.alerts}


def promtool(*arguments: str) -> str:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def test_promtool_takes_rules_and_configuration() -> None:
    promtool("check", "rules", str(RULES))
    promtool("check", "config", str(ROOT / "deploy/slurm/prometheus.yml"))


def routed(*labels: str) -> str:
    config = f"--config.file={ROOT / 'deploy/slurm/alertmanager.yml'}"
    command = ["amtool", "config", "routes", "test", config, *labels]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_alertmanager_sends_each_severity_where_it_belongs() -> None:
    assert routed("severity=critical") == "wake-somebody"
    assert routed("severity=info") == "shown-only"
    assert routed("severity=warning") == "read-in-the-morning"


def test_every_alert_fires_and_is_silent_under_both_names(tmp_path: Path) -> None:
    assert set(CASES) == set(ALERTS)
    shipped = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
    promtool("test", "rules", *(str(write(tmp_path, shipped, alert)) for alert in CASES))


def test_an_alert_tells_where_and_what_to_do(tmp_path: Path) -> None:
    alert = ALERTS["GpuXidReboot"]
    wanted = {
        "exp_labels": {"severity": "critical", "hostname": "dgx1", "gpu": "3", "xid": "79"},
        "exp_annotations": {
            "summary": "XID 79 on dgx1 GPU 3",
            "action": alert.action,
            "runbook": "docs/alerts.md#gpuxidreboot",
        },
    }
    series = 'DCGM_EXP_XID_ERRORS_COUNT{hostname="dgx1",gpu="3",xid="79"}'
    test = {
        "interval": "15s",
        "input_series": [{"series": series, "values": "0x8 1x100"}],
        "alert_rule_test": [
            {"eval_time": "1m", "alertname": alert.name, "exp_alerts": []},
            {"eval_time": "5m", "alertname": alert.name, "exp_alerts": [wanted]},
        ],
    }
    told = {"rule_files": [str(RULES)], "evaluation_interval": "15s", "tests": [test]}
    (tmp_path / "cases.yml").write_text(yaml.safe_dump(told))
    promtool("test", "rules", str(tmp_path / "cases.yml"))


class Prometheus:
    def __init__(self, address: str) -> None:
        self.address = address

    def get(self, path: str, **query: str) -> Any:
        url = f"http://{self.address}{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]

    def query(self, expr: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("/api/v1/query", query=expr)["result"]
        return found


def _free_address() -> str:
    with exporter.serving(lambda _: "") as address:
        return address


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """The generated configuration, quicker, with stand-ins as its targets."""
    folder = tmp_path_factory.mktemp("prometheus")
    with (
        exporter.serving(lambda n: exporter.dcgm_page(n, renamed=False)) as old,
        exporter.serving(lambda n: exporter.dcgm_page(n, renamed=True)) as new,
        exporter.serving(lambda n: exporter.job_page(n, time.time())) as node,
        exporter.serving(lambda _: exporter.SLURM) as slurm,
    ):
        targets = {"dcgm": [old, new], "node": [node], "slurm": [slurm]}
        (folder / "targets").mkdir()
        for name, found in targets.items():
            (folder / f"targets/{name}.yml").write_text(yaml.safe_dump([{"targets": found}]))
        config = scrape.prometheus()
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        del config["alerting"]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        groups = [{**group, "interval": "1s"} for group in rules.groups()]
        (folder / "dgx-pixels.rules.yml").write_text(yaml.safe_dump({"groups": groups}))
        address = _free_address()
        command = ["prometheus", f"--config.file={folder}/prometheus.yml"]
        command += [f"--storage.tsdb.path={folder}/data", f"--web.listen-address={address}"]
        with (folder / "log").open("w") as log:
            running = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            server = Prometheus(address)
            _wait_for_rates(server)
            yield server
        finally:
            running.terminate()
            running.wait(20)


def _wait_for_rates(server: Prometheus) -> None:
    """Until the slowest to come is there: a rate over recorded series of both hosts."""
    end = time.monotonic() + 60
    while True:
        try:
            if len(server.query("rate(gpu:energy_j[5m]) > 0")) == 4:
                return
        except OSError:
            pass
        assert time.monotonic() < end, "Prometheus has nothing"
        time.sleep(0.5)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_panel_has_data(prometheus: Prometheus, name: str) -> None:
    panels = dashboard(name)["panels"]
    assert panels
    for panel in panels:
        for target in panel["targets"]:
            expr = target["expr"]
            for variable in VARIABLES:
                expr = expr.replace(f"${variable}", "2")
            found = prometheus.query(expr)
            assert found, (panel["title"], expr)
            assert all(row["value"][1] != "NaN" for row in found), (panel["title"], expr)


def test_every_panel_is_drawn(prometheus: Prometheus, tmp_path: Path) -> None:
    url = f"http://{prometheus.address}"
    arguments = ["--prometheus", url, "--out", str(tmp_path), "--hours", "0.01"]
    assert picture.main(arguments) == 0
    assert {file.stem for file in tmp_path.iterdir()} == set(DASHBOARDS)


@pytest.mark.parametrize(
    ("path", "expr", "said"), [("", "rate(", "parse error"), ("/other", "up", "404")]
)
def test_what_it_refuses_is_passed_on(
    prometheus: Prometheus, path: str, expr: str, said: str
) -> None:
    window = Window(start_s=1.0, step_s=1.0, num_steps=2)
    with pytest.raises(InputError, match=said):
        curves(f"http://{prometheus.address}{path}", expr, window)


def test_both_hosts_end_up_under_one_name_and_label(prometheus: Prometheus) -> None:
    lists = {
        host: [row.split(",")[0] for row in rules.counters(renamed=renamed).splitlines()[1:]]
        for host, renamed in (("dgx-old", False), ("dgx-new", True))
    }
    for name, fields in FIELDS.items():
        known = {n for field in fields for n in names_of(field)}
        wanted = {host for host, listed in lists.items() if known & set(listed)}
        found = prometheus.query(f"gpu:{name}")
        assert {row["metric"].get("hostname") for row in found} == wanted, name
        assert wanted, name


def test_blank_numbers_are_no_temperatures(prometheus: Prometheus) -> None:
    found = prometheus.query("gpu:memory_temperature_c")
    assert {row["metric"]["gpu"] for row in found} == {"0"}


def test_energy_is_joules_under_either_name(prometheus: Prometheus) -> None:
    """Both stand-ins count the same energy: in millijoules before 4.6, in joules from it on."""
    found = prometheus.query("max by (hostname) (gpu:energy_j)")
    energy = {row["metric"]["hostname"]: float(row["value"][1]) for row in found}
    assert 0.3 < energy["dgx-new"] / energy["dgx-old"] < 3


def test_the_one_fault_of_the_page_is_the_one_alert(prometheus: Prometheus) -> None:
    alerts = prometheus.get("/api/v1/alerts")["alerts"]
    firing = {(a["labels"]["alertname"], a["labels"].get("gpu")) for a in alerts
              if a["state"] == "firing"}  # fmt: skip
    assert firing == {("GpuXidReboot", "1")}
    found = [rule for group in prometheus.get("/api/v1/rules")["groups"] for rule in group["rules"]]
    assert {rule["health"] for rule in found} == {"ok"}
