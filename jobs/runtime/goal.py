"""Whether a run reached the goal its experiment states: a verdict that ``run.json`` carries."""

from collections.abc import Mapping
from typing import Any

from jobs.runtime.conf import GoalConfig

MET, MISSED, OPEN = "met", "missed", "open"
S_PER_HOUR = 3600


def judge(goal: GoalConfig, record: Mapping[str, Any]) -> dict[str, Any] | None:
    """Judge a run by its record; None: no goal was stated.

    Args:
        goal: What was to be reached.
        record: As in ``run.json``.

    Returns:
        The goal, what was reached (``value``, ``took_hours`` over all attempts, ``used_gpus``, the
        most of any), a ``state`` and ``why``. ``open``: the run is not at its end, and nothing
        speaks against it yet, or the time of an attempt is not known.
    """
    if not goal.is_stated:
        return None
    attempts = record["attempts"]
    times_s = [_time_s(attempt) for attempt in attempts]
    known_s = sum(time_s for time_s in times_s if time_s is not None)
    gpus = [attempt["num_gpus"] for attempt in attempts]
    value = record["figures"].get(goal.metric)
    against = [
        *_of_time(goal, known_s / S_PER_HOUR),
        *_of_gpus(goal, gpus),
        *(_of_value(goal, value) if record["status"] == "finished" else ()),
    ]
    unknown = [
        *(["the run is not finished"] if record["status"] != "finished" else []),
        *(["the time of a killed attempt is not known"] if None in times_s and goal.hours else []),
    ]
    return {
        "metric": goal.metric,
        "at_most": goal.at_most,
        "at_least": goal.at_least,
        "hours": goal.hours,
        "num_gpus": goal.num_gpus,
        "value": value,
        "took_hours": None if None in times_s else round(known_s / S_PER_HOUR, 4),
        "used_gpus": None if None in gpus else max(gpus),
        "state": MISSED if against else OPEN if unknown else MET,
        "why": "; ".join(against or unknown),
    }


def _of_value(goal: GoalConfig, value: Any) -> list[str]:
    if not isinstance(value, int | float):
        return [f"the run has no {goal.metric}"]
    if goal.at_most is not None and not value <= goal.at_most:
        return [f"{goal.metric} is {value:.6g}, at most {goal.at_most:g} was asked"]
    if goal.at_least is not None and not value >= goal.at_least:
        return [f"{goal.metric} is {value:.6g}, at least {goal.at_least:g} was asked"]
    return []


def _of_time(goal: GoalConfig, hours: float) -> list[str]:
    if goal.hours is None or hours <= goal.hours:
        return []
    return [f"it took {hours:.4g} h, at most {goal.hours:g} were asked"]


def _of_gpus(goal: GoalConfig, gpus: list[int | None]) -> list[str]:
    most = max((each for each in gpus if each is not None), default=0)
    if goal.num_gpus is None or most <= goal.num_gpus:
        return []
    return [f"it had {most} GPUs, at most {goal.num_gpus} were asked"]


def _time_s(attempt: Mapping[str, Any]) -> float | None:
    """An attempt that was killed without a word is as long as what sampled beside it."""
    told = attempt.get("elapsed_s")
    return (attempt.get("telemetry") or {}).get("sampled_s") if told is None else told
