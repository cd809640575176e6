"""A goal that an experiment states, and what ``run.json`` says of it."""

from pathlib import Path
from typing import Any

import pytest

from jobs.conf import GenerateJob, TrainJob
from jobs.runtime.conf import GoalConfig
from jobs.runtime.config import compose_config
from jobs.runtime.goal import judge
from jobs.runtime.record import RunRecord
from pipeline.core.errors import InputError
from pipeline.core.files import read_json
from pipeline.core.outcome import Outcome
from pipeline.core.rundir import RunDir

HOUR_S = 3600.0


def record(
    *elapsed_s: float | None, status: str = "finished", gpus: int | None = 0, **figures: Any
) -> dict[str, Any]:
    attempts = [{"elapsed_s": each, "num_gpus": gpus} for each in elapsed_s]
    return {"status": status, "figures": figures, "attempts": attempts}


@pytest.mark.parametrize(
    ("goal", "told", "state"),
    [
        ({"at_most": 0.03}, record(HOUR_S, validation_loss=0.03), "met"),
        ({"at_most": 0.03}, record(HOUR_S, validation_loss=0.031), "missed"),
        ({"at_most": 0.03}, record(HOUR_S, validation_loss=float("nan")), "missed"),
        ({"at_most": 0.03}, record(HOUR_S, loss=0.01), "missed"),
        ({"at_least": 90, "metric": "rate"}, record(HOUR_S, rate=90), "met"),
        ({"at_least": 90, "metric": "rate"}, record(HOUR_S, rate=89.9), "missed"),
        ({"at_most": 1, "hours": 2}, record(HOUR_S, HOUR_S, validation_loss=0.5), "met"),
        ({"at_most": 1, "hours": 1.9}, record(HOUR_S, HOUR_S, validation_loss=0.5), "missed"),
        ({"at_most": 1, "num_gpus": 4}, record(1, gpus=8, validation_loss=0.5), "missed"),
        ({"at_most": 1, "num_gpus": 8}, record(1, gpus=8, validation_loss=0.5), "met"),
        # A run that goes on may still reach it, unless its time is over already.
        ({"at_most": 1, "hours": 2}, record(HOUR_S, status="stopped"), "open"),
        ({"at_most": 1, "hours": 0.5}, record(HOUR_S, status="stopped"), "missed"),
        ({"at_most": 1, "hours": 2}, record(None, 1, validation_loss=0.5), "open"),
        ({"at_most": 1}, record(None, 1, validation_loss=0.5), "met"),
    ],
)
def test_a_run_is_judged_by_its_record(
    goal: dict[str, Any], told: dict[str, Any], state: str
) -> None:
    verdict = judge(GoalConfig(**goal), told)
    assert verdict is not None
    assert verdict["state"] == state
    assert bool(verdict["why"]) == (state != "met")


def test_a_killed_attempt_is_as_long_as_what_sampled_beside_it() -> None:
    told = record(None, HOUR_S, validation_loss=0.5)
    told["attempts"][0]["telemetry"] = {"sampled_s": HOUR_S}
    verdict = judge(GoalConfig(at_most=1, hours=1.5), told)
    assert verdict is not None
    assert (verdict["state"], verdict["took_hours"]) == ("missed", 2.0)


def test_without_a_goal_nothing_is_said(tmp_path: Path) -> None:
    assert judge(GoalConfig(), record(1, validation_loss=0.5)) is None
    run = RunDir(tmp_path)
    RunRecord(run, job="train", job_id="1", num_ranks=1, num_gpus=0)
    assert "goal" not in read_json(run.run_json)


def test_the_record_carries_the_verdict_from_the_first_moment_on(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    goal = GoalConfig(at_most=0.03, hours=1)
    kept = RunRecord(run, job="train", job_id="1", num_ranks=1, num_gpus=0, goal=goal)
    assert read_json(run.run_json)["goal"]["state"] == "open"
    kept.end(
        "finished", reason="", outcome=Outcome(finished=True, figures={"validation_loss": 0.02})
    )
    told = read_json(run.run_json)["goal"]
    assert (told["state"], told["value"]) == ("met", 0.02)


@pytest.mark.parametrize(
    ("overrides", "word"),
    [
        (["goal.at_most=1", "goal.at_least=1"], "at_least"),
        (["goal.hours=1"], "at_most"),
        (["goal.at_most=1", "goal.hours=0"], "goal.hours"),
        (["goal.at_most=1", "goal.num_gpus=-1"], "goal.num_gpus"),
        (["goal.at_mots=1"], "at_mots"),
    ],
)
def test_a_goal_that_cannot_be_is_refused(overrides: list[str], word: str) -> None:
    with pytest.raises(InputError, match=word):
        compose_config("train", TrainJob, ["+experiment=smoke", *overrides])


def test_an_experiment_states_one() -> None:
    config = compose_config("train", TrainJob, ["+experiment=tiles32"])
    assert config.goal == GoalConfig(at_most=0.023, hours=0.25)
    with pytest.raises(InputError, match="goal"):
        compose_config("generate", GenerateJob, ["prompts=[a]", "goal.at_most=1"])
