"""Commits of a week, from git."""

import datetime
import subprocess
from dataclasses import dataclass
from pathlib import Path

from jobs.records.week import Week

TIMEOUT_S = 60
HASH_CHARS = 10
"""Always as many: git's own short form grows with the repository."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One commit."""

    sha: str
    when: datetime.datetime
    subject: str
    is_merge: bool


def read_history(root: Path) -> list[Commit] | None:
    """Return the commits that lead to what is checked out, newest first; None: no repository."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "log", "--format=%H%x1f%ct%x1f%P%x1f%s"],
            capture_output=True, text=True, errors="replace", check=False, timeout=TIMEOUT_S,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode:
        return None
    return [_commit(line) for line in done.stdout.split("\n") if line.count("\x1f") >= 3]


def _commit(line: str) -> Commit:
    sha, time_s, parents, subject = line.split("\x1f", 3)
    return Commit(
        sha=sha[:HASH_CHARS],
        when=datetime.datetime.fromtimestamp(int(time_s), tz=datetime.UTC),
        subject=subject,
        is_merge=" " in parents,
    )


def of_week(commits: list[Commit], week: Week) -> list[Commit]:
    """Return those of a week, merges left out."""
    return [commit for commit in commits if week.has(commit.when) and not commit.is_merge]
