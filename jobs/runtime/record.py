"""``run.json``: what happened, attempt by attempt. Written by the main rank, atomically."""

import datetime
import fcntl
import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jobs.runtime.conf import GoalConfig
from jobs.runtime.goal import judge
from pipeline.core.files import read_json, write_json
from pipeline.core.outcome import Outcome
from pipeline.core.rundir import RunDir

if TYPE_CHECKING:
    from jobs.runtime.meter import Meter

log = logging.getLogger(__name__)

FORMAT = "dgx-pixels-run/1"
FINISHED = "finished"


class RunRecord:
    """The record of one run, with a new attempt begun.

    Args:
        run_dir: Where it is written.
        job: Name of the verb.
        job_id: The scheduler's.
        num_ranks: Processes.
        num_gpus: GPUs, over all nodes; None: slices, which are no number of GPUs.
        num_nodes: Nodes.
        run_id: Of the whole run, where this is one job of an array.
        meter: What samples beside it; None: nothing does.
        goal: What the run is to reach; None: nobody said.
    """

    def __init__(
        self,
        run_dir: RunDir,
        *,
        job: str,
        job_id: str,
        num_ranks: int,
        num_gpus: int | None,
        num_nodes: int = 1,
        run_id: str | None = None,
        meter: "Meter | None" = None,
        goal: GoalConfig | None = None,
    ) -> None:
        self.goal = goal or GoalConfig()
        self.run_dir = run_dir
        self.num_gpus = num_gpus
        self.meter = meter
        self._started_s = time.monotonic()
        self.value: dict[str, Any] = {
            "format": FORMAT,
            "job": job,
            "run_id": run_id or run_dir.path.name,
            "status": "",
            "figures": {},
            "gpu_hours": 0.0,
            "attempts": [],
        }
        if run_dir.run_json.exists():
            self.value |= read_json(run_dir.run_json)
        for attempt in self.value["attempts"]:
            if attempt["ended"] is None:
                attempt["reason"] = attempt["reason"] or "killed: it left no word"
        self.value["status"] = "running"
        self.value["attempts"].append(
            {
                "job_id": job_id,
                "id": meter.attempt if meter else None,
                "num_ranks": num_ranks,
                "num_nodes": num_nodes,
                "num_gpus": num_gpus,
                "started": _now(),
                "ended": None,
                "reason": "",
            }
        )
        self.write()

    @property
    def num_attempts(self) -> int:
        """Attempts of this job so far, this one included; a job submitted anew counts anew."""
        job_id = self.value["attempts"][-1]["job_id"]
        return sum(attempt["job_id"] == job_id for attempt in self.value["attempts"])

    @property
    def num_attempts_before(self) -> int:
        """Attempts of the run before this one, whatever job they were of."""
        return len(self.value["attempts"]) - 1

    def last_position(self) -> int:
        """Return where the attempt before this one ended, in the job's own unit; -1: unknown."""
        before = self.value["attempts"][:-1]
        return int(before[-1].get("position", -1)) if before else -1

    def end(
        self, status: str, *, reason: str, outcome: Outcome | None, settle: bool = True
    ) -> None:
        """Close the attempt.

        Args:
            status: Of the run.
            reason: Why it ended.
            outcome: What the job made; None: nothing to speak of.
            settle: Whether to sum up what was metered as well, which takes seconds; otherwise the
                next attempt does.
        """
        elapsed_s = time.monotonic() - self._started_s
        attempt = self.value["attempts"][-1]
        attempt |= {"ended": _now(), "elapsed_s": round(elapsed_s, 1), "reason": reason}
        if outcome is not None:
            attempt["position"] = outcome.position
            # Kept where this attempt has none: a finished run that is asked again does nothing.
            self.value["figures"] |= dict(outcome.figures)
        self.value["status"] = status
        hours = None if self.num_gpus is None else elapsed_s * self.num_gpus / 3600
        self.value["gpu_hours"] = _sum([self.value["gpu_hours"], hours])
        self.write()
        if self.meter is not None and settle:
            # Written a second time: how it ended must stand there, whatever measuring takes.
            self.meter.settle(self.value)
            try:
                self.write()
            except OSError as error:
                log.warning("telemetry: not written into run.json (%s)", error.strerror)

    def note(self, status: str, *, reason: str) -> None:
        """Write down what will be true if this process is killed now."""
        self.value["attempts"][-1]["reason"] = reason
        self.value["status"] = status
        self.write()

    def write(self) -> None:
        """Write the file, and the whole run's where this is one job of an array."""
        verdict = judge(self.goal, self.value)
        if verdict is not None:
            self.value["goal"] = verdict
        write_json(self.run_dir.run_json, self.value)
        if self.run_dir.whole is not None:
            with (self.run_dir.whole.path / "array" / "lock").open("a") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                write_json(self.run_dir.whole.run_json, join_records(self.run_dir.whole))


def last_reason(run_dir: RunDir) -> str:
    """Return why a run's or an array job's last attempt ended; empty: it said nothing."""
    if not run_dir.run_json.is_file():
        return ""
    return str(read_json(run_dir.run_json)["attempts"][-1]["reason"])


def join_records(run_dir: RunDir) -> dict[str, Any]:
    """Return one record of a run that an array of jobs works on.

    They share the work, so the run is finished when any of them says so, and none began after.
    """
    parts = [read_json(path) for path in sorted(run_dir.path.glob("array/*/run.json"))]
    latest = max(part["attempts"][-1]["started"] for part in parts)
    now = [
        part
        for part in parts
        if part["status"] != FINISHED or part["attempts"][-1]["ended"] >= latest
    ]
    by_status = {part["status"]: part for part in now or parts}
    status = next(
        (s for s in (FINISHED, "running", "failed", "stopped") if s in by_status), "running"
    )
    attempts = [attempt for part in parts for attempt in part["attempts"]]
    known = {attempt["job_id"] for attempt in attempts}
    before = read_json(run_dir.run_json) if run_dir.run_json.exists() else {"attempts": []}
    # Those of a time when the run was not an array's.
    attempts += [attempt for attempt in before["attempts"] if attempt["job_id"] not in known]
    joined = {
        **{key: parts[0][key] for key in ("format", "job", "run_id")},
        "status": status,
        "figures": by_status[status]["figures"],
        "gpu_hours": _sum([part["gpu_hours"] for part in parts]),
        "attempts": sorted(attempts, key=lambda attempt: attempt["started"]),
    }
    metered = [part["telemetry"] for part in parts if "telemetry" in part]
    if metered:
        from jobs.runtime.meter import sum_up

        joined["telemetry"] = sum_up(
            attempts,
            job=joined["job"],
            figures=joined["figures"],
            finished=status == FINISHED,
            prices=metered[0]["prices"],
            is_array=len(parts) > 1,
        )
    return joined


def _sum(hours: Sequence[float | None]) -> float | None:
    known = [each for each in hours if each is not None]
    return round(sum(known), 4) if len(known) == len(hours) else None


def _now() -> str:
    return datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="seconds")
