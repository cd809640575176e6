import datetime
import stat
from pathlib import Path
from typing import Any

import pytest

from deploy.ops import audit

TODAY = datetime.date(2026, 11, 25)
REPORT: dict[str, Any] = {
    "dependencies": [
        {"name": "fine", "version": "1.0", "vulns": []},
        {"name": "local", "skip_reason": "Dependency not found on PyPI"},
        {
            "name": "jinja2",
            "version": "2.4.1",
            "vulns": [
                {"id": "PYSEC-2019-217", "aliases": ["CVE-2016-10745"], "fix_versions": ["2.8.1"]}
            ],
        },
    ],
    "fixes": [],
}


def exception(**changes: Any) -> dict[str, Any]:
    row = {"id": "CVE-2016-10745", "package": "jinja2", "reason": "-", "until": TODAY}
    return row | changes


@pytest.mark.parametrize(
    ("exceptions", "expected"),
    [
        ([], 1),
        ([exception()], 0),
        ([exception(id="PYSEC-2019-217")], 0),
        ([exception(until=TODAY - datetime.timedelta(days=1))], 1),
        ([exception(package="other")], 1),
        ([exception(id="CVE-2016-1")], 1),
    ],
)
def test_a_known_vulnerability_needs_an_exception_of_its_own_that_still_holds(
    exceptions: list[dict[str, Any]], expected: int
) -> None:
    status, lines = audit.judge(REPORT, exceptions, TODAY)
    assert status == expected
    assert any("PYSEC-2019-217" in line for line in lines) == bool(expected)
    assert "local" in lines[0]


def test_an_audit_that_saw_nothing_is_no_clean_bill() -> None:
    report = {"dependencies": [{"name": "a", "skip_reason": "not found"}], "fixes": []}
    status, lines = audit.judge(report, [], TODAY)
    assert status == 0
    assert len(lines) == 1
    assert "SKIPPED" in lines[0]


@pytest.mark.parametrize(
    ("stderr", "status", "word"),
    [("requests.exceptions.ConnectionError: no", 0, "SKIPPED"), ("bad option", 2, "bad option")],
)
def test_no_network_is_told_from_a_broken_tool(
    tmp_path: Path, stderr: str, status: int, word: str
) -> None:
    installed(tmp_path, "torch", "2.13.0+cpu")
    tool = tmp_path / "pip-audit"
    tool.write_text(f"#!/bin/sh\necho '{stderr}' >&2\nexit 1\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    found = audit.audit(str(tool), tmp_path, [])
    assert found[0] == status
    assert word in found[1][0]


def test_pins_carry_no_local_part(tmp_path: Path) -> None:
    installed(tmp_path, "torch", "2.13.0+cpu")
    assert audit.pins(tmp_path) == ["torch==2.13.0"]
    assert audit.audit("none", tmp_path / "absent", [])[0] == 2


def test_exceptions_are_whole(tmp_path: Path) -> None:
    assert audit.read_exceptions(audit.EXCEPTIONS) == []
    half = tmp_path / "half.toml"
    half.write_text('[[exception]]\nid = "A"\npackage = "b"\nreason = "c"\nuntil = "soon"\n')
    with pytest.raises(ValueError, match="until"):
        audit.read_exceptions(half)


def installed(site: Path, name: str, version: str) -> None:
    info = site / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
