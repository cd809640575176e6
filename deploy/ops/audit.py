"""Look the packages of an environment up among the known vulnerabilities, with pip-audit.

    python deploy/ops/audit.py PIP_AUDIT SITE_PACKAGES

Exit status 0: none known, or the database did not answer, which is said and is no clean bill; 1:
some are known that ``audit_exceptions.toml`` does not let pass; 2: pip-audit or it is broken.
"""

import argparse
import datetime
import importlib.metadata
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

EXCEPTIONS = Path(__file__).with_name("audit_exceptions.toml")
FIELDS = {"id": str, "package": str, "reason": str, "until": datetime.date}
UNREACHED = re.compile(r"ConnectionError|ConnectTimeout|ReadTimeout|HTTPError|ServiceError")
AGAIN = "run `make audit` where PyPI itself answers"


def pins(site: Path) -> list[str]:
    """Return ``name==version`` of what is installed in a site-packages folder, sorted.

    A local part (torch's ``+cpu``) is left away: the database knows none and would skip it.
    """
    found = importlib.metadata.distributions(path=[str(site)])
    return sorted({f"{d.metadata['Name']}=={d.version.split('+')[0]}" for d in found})


def read_exceptions(path: Path) -> list[dict[str, Any]]:
    """Read what is let pass.

    Raises:
        ValueError: One lacks a field, or has it in another type.
    """
    rows: list[dict[str, Any]] = tomllib.loads(path.read_text()).get("exception", [])
    for row in rows:
        for key, kind in FIELDS.items():
            if not isinstance(row.get(key), kind):
                raise ValueError(f"{path.name}: {key} is {row.get(key)!r}, not a {kind.__name__}")
    return rows


def judge(
    report: Mapping[str, Any], exceptions: list[dict[str, Any]], today: datetime.date
) -> tuple[int, list[str]]:
    """Return exit status and lines for pip-audit's JSON report."""
    rows = report["dependencies"]
    skipped = [row["name"] for row in rows if "skip_reason" in row]
    known = len(rows) - len(skipped)
    if not known:
        # A mirror without the database answers "not found" to all, and pip-audit is content.
        return 0, [
            f"audit: SKIPPED, nothing was checked: no answer about {len(rows)} packages; {AGAIN}"
        ]
    lines = [f"audit: not in the database: {', '.join(skipped)}"] if skipped else []
    open_, passed = [], 0
    for name, found in _found(rows):
        names = {found["id"], *found.get("aliases", [])}
        if any(_lets(row, name, names, today) for row in exceptions):
            passed += 1
            continue
        fixed = ", ".join(found.get("fix_versions", [])) or "no version"
        open_.append(f"audit: {name}: {found['id']}, fixed in {fixed}")
    told = f"{known} packages checked, {len(open_)} vulnerabilities, {passed} let pass"
    return int(bool(open_)), [*lines, *open_, f"audit: {told}"]


def _found(rows: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for row in rows:
        for found in row.get("vulns", []):
            yield row["name"], found


def _lets(row: Mapping[str, Any], name: str, names: set[str], today: datetime.date) -> bool:
    return row["id"] in names and row["package"] == name and today <= row["until"]


def audit(command: str, site: Path, exceptions: list[dict[str, Any]]) -> tuple[int, list[str]]:
    """Run pip-audit over what is installed in ``site``; return exit status and lines."""
    names = pins(site)
    if not names:
        return 2, [f"error: {site}: no packages are installed there; make setup"]
    with tempfile.TemporaryDirectory() as scratch:
        asked, told = Path(scratch, "pins.txt"), Path(scratch, "report.json")
        asked.write_text("\n".join(names) + "\n")
        options = ["--requirement", asked, "--no-deps", "--disable-pip", "--format", "json"]
        options += ["--output", told, "--progress-spinner", "off", "--timeout", "10"]
        done = subprocess.run(
            [command, *map(str, options)], capture_output=True, text=True, check=False
        )
        if told.is_file() and told.stat().st_size:
            today = datetime.datetime.now(datetime.UTC).date()
            return judge(json.loads(told.read_text()), exceptions, today)
    last = (done.stderr.strip().splitlines() or ["no output"])[-1]
    if UNREACHED.search(done.stderr):
        return 0, [f"audit: SKIPPED, nothing was checked: the database did not answer; {AGAIN}"]
    return 2, [f"error: pip-audit ended with {done.returncode}: {last}"]


def main() -> int:
    """Audit, and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", help="pip-audit's path")
    parser.add_argument("site", type=Path, help="site-packages folder to look at")
    args = parser.parse_args()
    try:
        status, lines = audit(args.command, args.site, read_exceptions(EXCEPTIONS))
    except (OSError, ValueError) as error:
        status, lines = 2, [f"error: {error}"]
    print("\n".join(lines))
    return status


if __name__ == "__main__":
    sys.exit(main())
