"""Write the four requirements*.lock: every package, hashed.

    .venv/bin/python deploy/lock.py

torch itself is left out: whether its CPU or its CUDA build fits is the machine's to say, and their
hashes differ; so is torchvision, which is built with one torch. `make setup` installs torch first,
then the first two locks with --no-deps --require-hashes; `make eval-metrics` these and
requirements-eval.lock elsewhere. requirements-ops.lock is what looks at environments and files from
outside (`make sbom`, `make audit`, ...), in an environment that shares nothing with the others.
"""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
HEAD = "# Made by deploy/lock.py from {source}; for CPython 3.11 on x86-64 Linux.\n"
OPS = "deploy/ops/requirements.txt"
APART = {"torch", "torchvision"}


def resolve(requirements: list[str]) -> dict[str, str]:
    """Return ``name==version --hash=...`` of all that the requirements pull in, by name."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet"]
    command += ["--report", "-", *requirements]
    report = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    lines = {}
    for item in report["install"]:
        name, version = item["metadata"]["name"].lower(), item["metadata"]["version"]
        digest = item["download_info"]["archive_info"]["hashes"]["sha256"]
        if name not in APART:
            lines[name] = f"{name}=={version} --hash=sha256:{digest}\n"
    return lines


def main() -> None:
    """Resolve and write the locks."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    asked = [*project["dependencies"], *extras["eval"], *extras["dev"]]
    both = resolve(asked)
    # Names of the runtime's own, versions under the pins of all: one environment holds both locks.
    runtime = {name: both[name] for name in resolve(project["dependencies"])}
    # With what was found before, so that the locks fit each other.
    metrics = resolve([*asked, *(line.split()[0] for line in both.values()), *extras["metrics"]])
    locks = {"requirements": runtime, "requirements-dev": _less(both, runtime)}
    locks["requirements-eval"] = _less(metrics, both)
    locks["requirements-ops"] = resolve(["--requirement", str(ROOT / OPS)])
    for name, lines in locks.items():
        head = HEAD.format(source=OPS if name == "requirements-ops" else "pyproject.toml")
        text = head + "".join(line for _, line in sorted(lines.items()))
        (ROOT / f"{name}.lock").write_text(text)
        print(f"{name}.lock: {len(lines)} packages")


def _less(lines: dict[str, str], there: dict[str, str]) -> dict[str, str]:
    return {name: line for name, line in lines.items() if name not in there}


if __name__ == "__main__":
    main()
