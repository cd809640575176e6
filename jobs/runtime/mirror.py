"""What W&B knows of a project's runs; their summaries alone, never a sampled history.

The client asks again by itself, keeps a process of its own and may ask a person for a key. So it
runs in a child that has no terminal and an end.
"""

import datetime
import itertools
import multiprocessing
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from jobs.runtime.sync import without_key
from pipeline.core.errors import InputError
from pipeline.core.numbers import number

TIMEOUT_S = 60.0
"""Seconds a try may take."""
TRIES = 2
API_TIMEOUT_S = 20
"""Seconds one answer of the server may take, the client's own repeats included."""
NO_ANSWER = "no answer"
SLOW = "did not respond in time"
"""What the client says of a server that it heard nothing of."""
MAX_RUNS = 2000
"""More are not asked for; the newest are told."""
PER_PAGE = 100
PROJECT = re.compile(r"[\w.-]+/[\w.-]+")
STATES = {
    "finished": "finished", "running": "running", "pending": "running", "crashed": "failed",
    "failed": "failed", "killed": "stopped", "preempted": "stopped", "preempting": "stopped",
}  # fmt: skip
"""From W&B's word for how a run stands to that of ``run.json``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirrored:
    """One run as W&B has it."""

    id: str
    """As ``jobs.runtime.naming.run_id_of``, where this project made it."""
    job: str
    """Empty: none was told."""
    group: str
    name: str
    state: str
    """In W&B's word."""
    created: datetime.datetime
    elapsed_s: float | None
    figures: Mapping[str, Any]
    """Its summary."""
    url: str

    @property
    def status(self) -> str:
        """How it stands, in the words of ``run.json``."""
        return STATES.get(self.state, "running")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What W&B said."""

    project: str
    runs: tuple[Mirrored, ...] = ()
    """The newest first."""
    silence: str | None = None
    """Why there is nothing; None: it answered."""
    is_cut: bool = False
    """Whether there are more than ``MAX_RUNS``."""


def ask_wandb(
    project: str,
    since: datetime.datetime,
    until: datetime.datetime,
    *,
    timeout_s: float = TIMEOUT_S,
    tries: int = TRIES,
) -> Answer:
    """Ask for the runs that began from one moment to before another.

    Args:
        project: ``ENTITY/PROJECT``.
        since: The first moment.
        until: The first that is too late.
        timeout_s: Seconds of one try.
        tries: How often, where there is no answer; a refusal is one.

    Raises:
        InputError: ``project`` is not two names.
    """
    if not PROJECT.fullmatch(project):
        raise InputError(f"--wandb: {project!r} is not ENTITY/PROJECT")
    answer = Answer(project=project)
    for _ in range(tries):
        answer = _try(project, since, until, timeout_s)
        if answer.silence is None or not answer.silence.startswith(NO_ANSWER):
            break
    return answer


def _try(
    project: str, since: datetime.datetime, until: datetime.datetime, timeout_s: float
) -> Answer:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    # The client makes a folder for each run that it hears of.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        child = context.Process(
            target=_child, args=(theirs, scratch, project, (since, until)), daemon=True
        )
        child.start()
        theirs.close()
        try:
            if not ours.poll(timeout_s):
                return Answer(project=project, silence=f"{NO_ANSWER} in {timeout_s:g} s")
            told: Answer = ours.recv()
            return told
        except (EOFError, OSError):
            return Answer(project=project, silence="its client ended without a word")
        finally:
            # What was said is here; what the client would still put in order is not worth a wait.
            child.kill()
            child.join()
            ours.close()


def _child(
    to: "Connection[Answer, Answer]",
    scratch: str,
    project: str,
    between: tuple[datetime.datetime, datetime.datetime],
) -> None:
    os.environ.pop("WANDB_MODE", None)
    os.environ |= {"WANDB_SILENT": "true", "WANDB_DIR": scratch}
    try:
        found = list(itertools.islice(_ask(project, *between), MAX_RUNS + 1))
    except Exception as error:  # whatever a client of a service may raise
        to.send(Answer(project=project, silence=reason_of(error)))
        return
    to.send(Answer(project=project, runs=tuple(found[:MAX_RUNS]), is_cut=len(found) > MAX_RUNS))


def reason_of(error: Exception) -> str:
    """Say in one line why the client did not get an answer, without a key in it."""
    told = without_key(" ".join(str(error).split())).rstrip(".") or type(error).__name__
    # The client (0.31.0) calls it a failure to verify credentials.
    return f"{NO_ANSWER} in {API_TIMEOUT_S} s" if SLOW in told else told


def _ask(project: str, since: datetime.datetime, until: datetime.datetime) -> Iterator[Mirrored]:
    import wandb

    between = {"$gte": _written(since), "$lt": _written(until)}
    runs = wandb.Api(timeout=API_TIMEOUT_S).runs(
        project, filters={"createdAt": between}, order="-created_at", per_page=PER_PAGE, lazy=False
    )
    for run in runs:
        told = _mirrored(run)
        if since <= told.created < until:
            yield told


def _mirrored(run: Any) -> Mirrored:
    summary = dict(run.summary_metrics or {})
    created = datetime.datetime.fromisoformat(run.created_at)
    return Mirrored(
        id=run.id,
        job=run.job_type or "",
        group=run.group or "",
        name=run.name or run.id,
        state=run.state,
        created=created if created.tzinfo else created.replace(tzinfo=datetime.UTC),
        elapsed_s=number(summary.get("_runtime")),
        figures=summary,
        url=run.url,
    )


def _written(when: datetime.datetime) -> str:
    return f"{when.astimezone(datetime.UTC):%Y-%m-%dT%H:%M:%S}"
