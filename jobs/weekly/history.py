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


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What git answered."""

    commits: tuple[Commit, ...] = ()
    """Those that lead to what is checked out, the newest first."""
    silence: str | None = None
    """Why there is nothing; None: it answered."""

    def of_week(self, week: Week) -> list[Commit]:
        """Return those of a week, merges left out."""
        return [each for each in self.commits if week.has(each.when) and not each.is_merge]


def read_history(root: Path) -> History:
    """Ask git for every commit."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "log", "--format=%H%x1f%ct%x1f%P%x1f%s"],
            capture_output=True, text=True, errors="replace", check=False, timeout=TIMEOUT_S,
        )  # fmt: skip
    except OSError:
        return History(silence="there is no git here")
    except subprocess.TimeoutExpired:
        return History(silence=f"git did not answer in {TIMEOUT_S} s")
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no word"])[-1]
        return History(silence=f"git says: {said.removeprefix('fatal: ')}")
    lines = (line for line in done.stdout.split("\n") if line.count("\x1f") >= 3)
    return History(commits=tuple(map(_commit, lines)))


def _commit(line: str) -> Commit:
    sha, time_s, parents, subject = line.split("\x1f", 3)
    return Commit(
        sha=sha[:HASH_CHARS],
        when=datetime.datetime.fromtimestamp(int(time_s), tz=datetime.UTC),
        subject=subject,
        is_merge=" " in parents,
    )
