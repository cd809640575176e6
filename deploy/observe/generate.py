"""Write deploy/k8s, the plain files of deploy/slurm, and docs/alerts.md from the table of signals.

python -m deploy.observe.generate            # write
python -m deploy.observe.generate --check    # fails, with the files' names, where they differ
"""

import argparse
import json
import sys
from pathlib import Path

import yaml

from deploy.observe import kubernetes, rules, scrape
from deploy.observe.dashboards import dashboard, provisioning
from deploy.observe.table import DASHBOARDS, SIGNALS

ROOT = Path(__file__).parents[2]
HEAD = "# Made by deploy.observe.generate; change deploy/observe and make it again.\n"


def build() -> dict[str, str]:
    """Return every generated file's text, by its path from the repository's root."""
    files = {f"deploy/k8s/{name}": _yaml(data) for name, data in kubernetes.manifests().items()}
    files["deploy/k8s/gpu-operator-values.yml"] = _yaml(kubernetes.operator_values())
    files["deploy/slurm/prometheus.yml"] = _yaml(scrape.prometheus())
    files["deploy/slurm/alertmanager.yml"] = _yaml(scrape.alertmanager())
    files["deploy/slurm/dgx-pixels.rules.yml"] = _yaml({"groups": rules.groups()})
    for renamed, name in kubernetes.LISTS.items():
        files[f"deploy/slurm/{name}.csv"] = rules.counters(renamed=renamed)
    for name in DASHBOARDS:
        text = json.dumps(dashboard(name), indent=1) + "\n"
        files[f"deploy/slurm/dashboards/{name}.json"] = text
    for path, data in provisioning().items():
        files[f"deploy/slurm/grafana/{path}"] = _yaml(data)
    files["docs/alerts.md"] = _runbook()
    return files


def main() -> None:
    """Write the files, or say which differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args().check
    files = build()
    if check:
        paths = {path: ROOT / path for path in files}
        found = {path: file.read_text() if file.exists() else "" for path, file in paths.items()}
        old = [path for path, text in files.items() if found[path] != text]
        if old:
            sys.exit(f"error: not what the table gives: {', '.join(old)}")
        return
    for path, text in files.items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(text)
    print(f"{len(files)} files")


class _Dumper(yaml.SafeDumper):
    """Lists and dashboards inside a manifest stay lines, so that a change of one can be read."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def _yaml(data: object) -> str:
    return HEAD + yaml.dump(data, Dumper=_Dumper, sort_keys=False, width=100)


def _runbook() -> str:
    lines = [
        "# Alerts",
        "",
        "Made by `python -m deploy.observe.generate` from deploy/observe. Not measured",
        "on GPU: tested with promtool on constructed series.",
        "",
    ]
    for signal in SIGNALS:
        for alert in signal.alerts:
            lines += [f"## {alert.name}", "", f"{alert.severity}, for {alert.hold}. {alert.action}"]
            lines += ["", f"`{alert.expr}`", ""]
    lines += ["## Names", "", "| ours | DCGM to 4.5, then from 4.6 |", "| --- | --- |"]
    lines += [f"| `{name}` | {', '.join(found)} |" for name, found in rules.names().items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
