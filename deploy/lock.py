"""Write requirements.lock and requirements-dev.lock: every package below pyproject, with its hash.

    .venv/bin/python deploy/lock.py

torch itself is left out: whether its CPU or its CUDA build fits is the machine's to say, and their
hashes differ. `make setup` installs torch first, then the locks with --no-deps --require-hashes.
"""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
HEAD = "# Made by deploy/lock.py from pyproject.toml; for CPython 3.11 on x86-64 Linux.\n"
APART = {"torch"}


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
    """Resolve and write both locks."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    runtime = resolve(project["dependencies"])
    extras = project["optional-dependencies"]
    both = resolve([*project["dependencies"], *extras["eval"], *extras["dev"]])
    more = {name: line for name, line in both.items() if name not in runtime}
    for name, lines in (("requirements.lock", runtime), ("requirements-dev.lock", more)):
        text = HEAD + "".join(line for _, line in sorted(lines.items()))
        (ROOT / name).write_text(text)
        print(f"{name}: {len(lines)} packages")


if __name__ == "__main__":
    main()
