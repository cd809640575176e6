"""Milestones M0 to M4, computed from records; where there is none it is "not measured".

M1 asks for GPUs by name, so no CPU's figure answers it. M4 asks for none: where no GPU was
measured the CPU's figure counts, and the page says on what it was measured.
"""

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.record import Row
from jobs.records.runs import BROKEN, Run
from jobs.weekly.benches import Benches, Kept
from jobs.weekly.sums import latest_first
from jobs.weekly.text import lasted, told
from pipeline.core.files import read_json
from pipeline.core.numbers import number
from repro.record import read_smoke

MET, MISSED, NOT_MEASURED, NO_GOAL = "met", "missed", "not measured", "no goal set"
NUM_SMOKE_IMAGES = 10
WORKER, BY_HAND = "queue-", "queue-hand-"
"""What the ids of attempts begin with that workers of a queue made, and those people started."""
MIN_WORKERS = 2
_NEXT = {
    False: "python -m jobs.bench bench=throughput",
    True: "python -m jobs.generate +work=demo cluster=queue array=8",
}
"""What measures M4, by whether the latency is met."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Goals:
    """What must be reached. None: nobody has said yet, and nothing is made up."""

    gain: float = 1.7
    """M1: what 4 GPUs generate over what 2 do; the project's request."""
    loader_gb_per_s: float = 1.0
    """M2: float32 bytes handed over; docs/metrics.md."""
    latency_p95_ms: float | None = None
    """M4: 95th percentile of requests of one image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What records say of one thing that a milestone asks for."""

    state: str
    measured: str
    source: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Milestone:
    """Where one milestone stands."""

    name: str
    focus: str
    goal: str
    command: str
    """What measures it."""
    found: tuple[Finding, ...]
    """Of each thing that it asks for."""

    @property
    def state(self) -> str:
        """That of what stands worst."""
        states = {each.state for each in self.found}
        return next(each for each in (MISSED, NO_GOAL, NOT_MEASURED, MET) if each in states)

    @property
    def measured(self) -> str:
        """Figures, and on what."""
        return "; ".join(each.measured for each in self.found)

    @property
    def sources(self) -> tuple[Path, ...]:
        """The records they are from."""
        return tuple(each.source for each in self.found if each.source)


def milestones(
    runs: Sequence[Run], benches: Benches, goals: Goals, *, until: datetime.datetime
) -> list[Milestone]:
    """Return all five as the records of before ``until`` have them."""
    before = latest_first(run for run in runs if run.latest < until)
    benches = benches.before(until)
    asked, trained = _goal(before)
    quick, scaled = _latency(benches, goals.latency_p95_ms), _autoscaled(before)
    p95 = "latency" if goals.latency_p95_ms is None else told(goals.latency_p95_ms, "ms")
    return [
        Milestone(
            name="M0",
            focus="Repro and smoke test",
            goal=f"{NUM_SMOKE_IMAGES} images end to end, as recorded",
            command="repro/run.sh",
            found=(_smoke(before, benches),),
        ),
        Milestone(
            name="M1",
            focus="Multi-GPU inference",
            goal=f"4 GPUs generate {told(goals.gain)} times what 2 do, or more",
            command="python -m jobs.bench bench=scaling cluster=dgx_b200 'num_ranks=[1,2,4,8]'",
            found=(_gain(benches, goals),),
        ),
        Milestone(
            name="M2",
            focus="Data pipeline (DALI)",
            goal=f"{told(goals.loader_gb_per_s)} GB/s of float32, or more",
            command="python -m jobs.bench bench=loader",
            found=(_loader(benches, goals),),
        ),
        Milestone(
            name="M3",
            focus="LoRA fine-tune",
            goal=asked,
            command="python -m jobs.train +experiment=tiles32",
            found=(trained,),
        ),
        Milestone(
            name="M4",
            focus="Productization and SLOs",
            goal=f"p95 {p95}; autoscaling verified",
            command=_NEXT[quick.state == MET],
            found=(quick, scaled),
        ),
    ]


def _smoke(runs: Iterable[Run], benches: Benches) -> Finding:
    # The newest that ended has the word: an older one that was fine does not outvote it.
    ended = [run for run in runs if run.job == "smoke" and run.status in {"finished", "failed"}]
    state, measured, source = NOT_MEASURED, "", None
    paths = [*(run.path for run in ended), *(kept.path for kept in benches.newest("smoke"))]
    if ended and ended[0].status == "failed":
        state, measured, source, paths = MISSED, ended[0].reason, ended[0].path, []
    for path in paths:
        try:
            record = read_smoke(path)
            checked, num = record["checked"], len(record["pictures"])
            passed = bool(checked["passed"]) and num >= NUM_SMOKE_IMAGES
            measured = f"{num} images, {checked['how']}; {record['environment']['cpu']}"
        except BROKEN:
            continue
        state, source = MET if passed else MISSED, path
        break
    return Finding(state=state, measured=measured, source=source)


def _gain(benches: Benches, goals: Goals) -> Finding:
    state, measured, source = NOT_MEASURED, "no GPU has been measured", None
    for device in ("cpu", "cuda"):
        for kept in benches.newest("scaling", device=device):
            four, two = (_median(kept, f"generate.ranks{n}") for n in (4, 2))
            if not four or not two:
                continue
            gain, source = four / two, kept.path
            measured = f"{gain:.2f} times on {kept.machine[0]}"
            if device == "cuda":
                state = MET if gain >= goals.gain else MISSED
            else:
                measured += ", which says nothing of GPUs"
            break
    return Finding(state=state, measured=measured, source=source)


def _loader(benches: Benches, goals: Goals) -> Finding:
    state, measured, source = NOT_MEASURED, "", None
    for kept in benches.newest("loader"):
        rate = _median(kept, "ours.1x.bytes")
        if rate is not None:
            state = MET if rate >= goals.loader_gb_per_s else MISSED
            measured, source = f"{told(rate)} GB/s on {kept.machine[0]}", kept.path
            break
    return Finding(state=state, measured=measured, source=source)


def _goal(runs: Iterable[Run]) -> tuple[str, Finding]:
    """Return the goal that trainings state, and what their verdicts say.

    Of the newest that met its goal, else of the newest that has one.
    """
    trained = [run for run in runs if run.job == "train" and run.status == "finished"]
    judged = [run for run in trained if _verdict(run)]
    met = [run for run in judged if _verdict(run)["state"] == MET]
    state, measured, source = NO_GOAL if trained else NOT_MEASURED, "", None
    goal = "what an experiment states under `goal`"
    for run in (met or judged)[:1]:
        verdict = _verdict(run)
        state, source = MET if met else MISSED, run.path
        value, hours = number(verdict.get("value")), number(verdict.get("took_hours"))
        measured = f"{verdict['metric']} {told(value)} in {lasted(hours)}"
        bound = "most" if verdict.get("at_most") is not None else "least"
        goal = f"{verdict['metric']} at {bound} {told(number(verdict.get(f'at_{bound}')))}"
        if number(verdict.get("hours")) is not None:
            goal += f" within {told(number(verdict['hours']), 'h')}"
    return goal, Finding(state=state, measured=measured, source=source)


def _verdict(run: Run) -> dict[str, Any]:
    """Return what ``jobs.runtime.goal`` said of a run; empty: no goal was stated."""
    told = run.record.get("goal")
    return told if isinstance(told, dict) and {"metric", "state"} <= told.keys() else {}


def _latency(benches: Benches, goal_ms: float | None) -> Finding:
    """Judge the newest figure of a GPU, or else of a CPU."""
    every = [
        (kept, row.p95)
        for device in ("cuda", "cpu")
        for kept in benches.newest("throughput", device=device)
        if (row := _row(kept, "base.batch1.latency")) is not None and row.p95 is not None
    ]
    if not every:
        return Finding(state=NOT_MEASURED, measured="no latency has been measured")
    kept, p95_ms = every[0]
    state = NO_GOAL if goal_ms is None else MET if p95_ms <= goal_ms else MISSED
    alone = "" if kept.result.conditions.device == "cuda" else ", no GPU has been measured"
    measured = f"p95 {told(p95_ms, 'ms')} on {kept.machine[0]}{alone}"
    return Finding(state=state, measured=measured, source=kept.path)


def _autoscaled(runs: Iterable[Run]) -> Finding:
    """Judge the newest generation that workers finished which no person started.

    Where there is none, the newest that several workers finished is told: it shows no scaling.
    """
    by_hand = Finding(state=NOT_MEASURED, measured="no record of autoscaling")
    for run in runs:
        workers = {each.job_id for each in run.attempts if each.job_id.startswith(WORKER)}
        if (run.job, run.status) != ("generate", "finished") or len(workers) < MIN_WORKERS:
            continue
        made, asked = run.figure("num_images"), _num_asked(run)
        if made is None or asked is None:
            continue
        lost = "none lost" if made == asked else f"{told(asked - made)} of {told(asked)} lost"
        measured = (
            f"{told(made)} images by {len(workers)} workers of a queue, {_most_at_once(run)} at "
            f"once, {lost}"
        )
        if sum(not worker.startswith(BY_HAND) for worker in workers) >= MIN_WORKERS:
            state = MET if made == asked else MISSED
            return Finding(state=state, measured=measured, source=run.path)
        if by_hand.source is None:
            measured += "; people started them"
            by_hand = Finding(state=NOT_MEASURED, measured=measured, source=run.path)
    return by_hand


def _num_asked(run: Run) -> float | None:
    try:
        return number(read_json(run.path / "recipe.json")["num_images"])
    except BROKEN:
        return None


def _most_at_once(run: Run) -> int:
    """Count the workers at the busiest moment, which is when one of them began."""
    spans = [
        (each.job_id, each.began, each.ended or each.began)
        for each in run.attempts
        if each.job_id.startswith(WORKER)
    ]
    return max(
        len({worker for worker, began, ended in spans if began == moment or began < moment < ended})
        for _, moment, _ in spans
    )


def _row(kept: Kept, name: str) -> Row | None:
    return next((row for row in kept.result.rows if row.name == name), None)


def _median(kept: Kept, name: str) -> float | None:
    row = _row(kept, name)
    return row.median if row else None
