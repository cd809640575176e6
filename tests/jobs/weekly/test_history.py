"""Commits of a week, from a repository that is made here."""

import subprocess
from pathlib import Path

import pytest

from jobs.records.week import Week
from jobs.weekly import history
from jobs.weekly.history import read_history

W48 = Week.parse("2026-W48")


@pytest.fixture(autouse=True)
def _no_other_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("GIT_DIR", "GIT_WORK_TREE"):
        monkeypatch.delenv(variable, raising=False)


def commit(root: Path, when: str, subject: str) -> None:
    if not (root / ".git").exists():
        subprocess.run(["git", "init", "-q", root], check=True)
    subprocess.run(
        ["git", "-C", root, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q",
         "--allow-empty", "-m", subject], check=True,
        env={"GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when, "PATH": "/usr/bin:/bin"},
    )  # fmt: skip


def test_a_commit_counts_in_its_week_in_utc(tmp_path: Path) -> None:
    commit(tmp_path, "2026-11-22T12:00:00+00:00", "before")
    commit(tmp_path, "2026-11-22T23:30:00-01:00", "first")
    commit(tmp_path, "2026-11-29T23:59:59+00:00", "last")
    commit(tmp_path, "2026-11-30T00:00:00+00:00", "after")
    told = read_history(tmp_path)
    assert told.silence is None
    assert [each.subject for each in told.of_week(W48)] == ["last", "first"]
    assert [each.subject for each in told.of_week(W48.before())] == ["before"]


def test_a_folder_without_a_repository_is_told(tmp_path: Path) -> None:
    told = read_history(tmp_path)
    assert told.commits == ()
    assert "repository" in (told.silence or "")


def test_no_git_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "no git" in (read_history(tmp_path).silence or "")


def test_a_git_that_hangs_is_left_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "git").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(history, "TIMEOUT_S", 0.2)
    assert "0.2 s" in (read_history(tmp_path).silence or "")
