"""Milestones, from results that were written as the benches write them."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from bench.record import BenchResult, Conditions, Row, write_result
from jobs.records.find import find_runs
from jobs.records.week import Week
from jobs.weekly.benches import hold, read_benches
from jobs.weekly.goals import MET, MISSED, NO_GOAL, NOT_MEASURED, Goals, Milestone, milestones
from tests.fakes.records import attempt, write_run

W48 = Week.parse("2026-W48")
GPUS = Conditions(hardware="8 x NVIDIA B200", device="cuda")
CPU = Conditions(hardware="2 cores of a CPU", device="cpu")


def result(bench: str, conditions: Conditions, **medians: float) -> BenchResult:
    rows = tuple(
        Row(name=name.replace("__", "."), unit="ms", median=value, p95=value)
        for name, value in medians.items()
    )
    return BenchResult(
        bench=bench, conditions=conditions, rows=rows, measured="2026-11-24T00:00:00+00:00"
    )


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    (tmp_path / "runs").mkdir()
    return tmp_path / "runs"


def put(runs: Path, told: BenchResult, name: str = "1") -> Path:
    path = runs / "bench" / told.bench / name / "bench.json"
    path.parent.mkdir(parents=True)
    write_result(path, told)
    return path


def states(runs: Path, goals: Goals, week: Week = W48) -> dict[str, Milestone]:
    benches = read_benches(runs.parent / "baselines", runs, until=week.end)
    found = find_runs(runs).runs
    return {each.name: each for each in milestones(found, benches, goals, until=week.end)}


def test_without_a_record_nothing_is_measured(runs: Path) -> None:
    told = states(runs, Goals(latency_p95_ms=1.0))
    assert {each.state for each in told.values()} == {NOT_MEASURED}
    assert all(not each.sources for each in told.values())


def smoke(runs: Path, where: str, *, passed: bool, started: str, status: str = "finished") -> None:
    run = write_run(runs, where, attempt(started, reason="a picture differs"), status=status)
    record = {
        "format": "dgx-pixels-smoke/1", "environment": {"cpu": "a CPU"}, "settings": {},
        "speed": {}, "pictures": [{}] * 10, "checked": {"passed": passed, "how": "equal hashes"},
    }  # fmt: skip
    (run / "smoke.json").write_text(json.dumps(record))


def test_the_newest_smoke_test_has_the_word(runs: Path) -> None:
    smoke(runs, "smoke/smoke/1", passed=True, started="2026-11-24T00:00:00+00:00")
    assert states(runs, Goals())["M0"].state == MET
    later = "2026-11-25T00:00:00+00:00"
    smoke(runs, "smoke/smoke/2", passed=False, started=later, status="failed")
    assert states(runs, Goals())["M0"].state == MISSED
    smoke(runs, "smoke/smoke/2", passed=False, started=later)
    assert states(runs, Goals())["M0"].state == MISSED


@pytest.mark.parametrize(
    ("conditions", "four", "state"),
    [(GPUS, 17.0, MET), (GPUS, 16.9, MISSED), (CPU, 20.0, NOT_MEASURED)],
)
def test_gain_is_of_gpus(runs: Path, conditions: Conditions, four: float, state: str) -> None:
    scaling = result("scaling", conditions, generate__ranks2=10.0, generate__ranks4=four)
    path = put(runs, scaling)
    told = states(runs, Goals())["M1"]
    assert (told.state, told.sources) == (state, (path,))


def test_a_gpu_counts_before_a_newer_cpu(runs: Path) -> None:
    put(runs, result("scaling", GPUS, generate__ranks2=10.0, generate__ranks4=19.0))
    newer = result("scaling", CPU, generate__ranks2=10.0, generate__ranks4=1.0)
    put(runs, dataclasses.replace(newer, measured="2026-11-25T00:00:00+00:00"), "2")
    assert states(runs, Goals())["M1"].state == MET


@pytest.mark.parametrize(("rate", "state"), [(1.0, MET), (0.9, MISSED)])
def test_the_loader_meets_its_rate(runs: Path, rate: float, state: str) -> None:
    put(runs, result("loader", CPU, ours__1x__bytes=rate))
    assert states(runs, Goals())["M2"].state == state


def test_a_result_of_a_later_week_is_not_known_yet(runs: Path) -> None:
    put(runs, result("loader", CPU, ours__1x__bytes=2.0))
    assert states(runs, Goals(), W48.before())["M2"].state == NOT_MEASURED


def trained(runs: Path, name: str, state: str | None, status: str = "finished") -> None:
    folder = write_run(runs, f"train/a/{name}", status=status, validation_loss=0.03)
    if state is not None:
        record = json.loads((folder / "run.json").read_text())
        goal = {"metric": "validation_loss", "at_most": 0.03, "hours": 1.5, "value": 0.03}
        record["goal"] = {**goal, "took_hours": 1.0, "state": state}
        (folder / "run.json").write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("verdicts", "state"),
    [
        ([], NOT_MEASURED),
        ([None], NO_GOAL),
        ([None, "missed"], MISSED),
        (["missed", "open"], MISSED),
        (["met", "missed", None], MET),
    ],
)
def test_a_training_says_itself_whether_it_met_its_goal(
    runs: Path, verdicts: list[str | None], state: str
) -> None:
    trained(runs, "failed", "met", status="failed")
    for number, verdict in enumerate(verdicts):
        trained(runs, str(number), verdict)
    told = states(runs, Goals())["M3"]
    assert told.state == state
    assert ("0.03 within 1.5 h" in told.goal) == (state in {MET, MISSED})


@pytest.mark.parametrize(
    ("goal_ms", "state"), [(None, NO_GOAL), (99.0, MISSED), (101.0, NOT_MEASURED)]
)
@pytest.mark.parametrize("conditions", [GPUS, CPU])
def test_latency_alone_does_not_meet_the_last_milestone(
    runs: Path, conditions: Conditions, goal_ms: float | None, state: str
) -> None:
    put(runs, result("throughput", conditions, base__batch1__latency=100.0))
    assert states(runs, Goals(latency_p95_ms=goal_ms))["M4"].state == state


def test_a_gpus_latency_counts_before_a_newer_one_of_a_cpu(runs: Path) -> None:
    put(runs, result("throughput", GPUS, base__batch1__latency=100.0))
    newer = result("throughput", CPU, base__batch1__latency=1.0)
    put(runs, dataclasses.replace(newer, measured="2026-11-25T00:00:00+00:00"), "2")
    told = states(runs, Goals(latency_p95_ms=50.0))["M4"]
    assert told.state == MISSED
    assert GPUS.hardware in told.measured


def worked(
    runs: Path, *ids: str, made: int = 64, asked: int = 64, status: str = "finished"
) -> Path:
    """A generation of two minutes an attempt, each begun a minute after the one before."""
    attempts = [
        attempt(
            f"2026-11-24T00:{minute:02d}:00+00:00",
            ended=f"2026-11-24T00:{minute + 2:02d}:00+00:00",
            job_id=job_id,
        )
        for minute, job_id in enumerate(ids)
    ]
    run = write_run(runs, "generate/tiles/q", *attempts, status=status, num_images=made)
    (run / "recipe.json").write_text(json.dumps({"num_images": asked}))
    return run


def test_several_workers_of_a_queue_that_lost_no_image_meet_the_last_milestone(
    runs: Path,
) -> None:
    bench = put(runs, result("throughput", CPU, base__batch1__latency=100.0))
    run = worked(
        runs, "queue-keda-a", "queue-keda-b", "queue-keda-c", "queue-keda-d", "queue-keda-e"
    )
    told = states(runs, Goals(latency_p95_ms=100.0))["M4"]
    assert (told.state, told.sources) == (MET, (bench, run))
    assert "64 images by 5 workers of a queue, 2 at once, none lost" in told.measured
    assert states(runs, Goals())["M4"].state == NO_GOAL
    assert states(runs, Goals(latency_p95_ms=99.0))["M4"].state == MISSED


def test_workers_without_a_latency_are_half_of_the_last_milestone(runs: Path) -> None:
    worked(runs, "queue-keda-a", "queue-keda-b")
    assert states(runs, Goals(latency_p95_ms=100.0))["M4"].state == NOT_MEASURED


@pytest.mark.parametrize(
    ("ids", "changes", "state"),
    [
        (("queue-keda-a", "queue-keda-a"), {}, NOT_MEASURED),
        (("queue-keda-a", "101"), {}, NOT_MEASURED),
        (("queue-hand-a", "queue-hand-b", "queue-keda-a"), {}, NOT_MEASURED),
        (("101", "102"), {}, NOT_MEASURED),
        (("queue-keda-a", "queue-keda-b"), {"status": "running"}, NOT_MEASURED),
        (("queue-keda-a", "queue-keda-b"), {"made": 63}, MISSED),
        (("queue-keda-a", "queue-keda-b"), {"made": 65}, MISSED),
    ],
)
def test_what_shows_no_autoscaling_does_not_meet_it(
    runs: Path, ids: tuple[str, ...], changes: dict[str, Any], state: str
) -> None:
    put(runs, result("throughput", GPUS, base__batch1__latency=100.0))
    worked(runs, *ids, **changes)
    assert states(runs, Goals(latency_p95_ms=100.0))["M4"].state == state


@pytest.mark.parametrize("text", [None, "{", "{}", '{"num_images": "many"}'])
def test_a_generation_that_does_not_say_what_was_asked_shows_nothing(
    runs: Path, text: str | None
) -> None:
    put(runs, result("throughput", GPUS, base__batch1__latency=100.0))
    recipe = worked(runs, "queue-keda-a", "queue-keda-b") / "recipe.json"
    recipe.unlink() if text is None else recipe.write_text(text)
    assert states(runs, Goals(latency_p95_ms=100.0))["M4"].state == NOT_MEASURED


def test_a_result_is_held_against_the_baseline_of_its_machine(runs: Path) -> None:
    base = result("storage", CPU, small__write=100.0, small__read=100.0)
    base = dataclasses.replace(base, settings={"num": 1})
    write_result(runs.parent / "baselines" / "storage.cpu.json", base)
    rows = (dataclasses.replace(base.rows[0], median=50.0), base.rows[1])
    put(runs, dataclasses.replace(base, rows=rows))
    other = dataclasses.replace(base, conditions=GPUS)
    put(runs, dataclasses.replace(other, measured="2026-11-25T00:00:00+00:00"), "2")
    benches = read_benches(runs.parent / "baselines", runs, until=W48.end)
    cpu, gpus = hold(benches, since=W48.start)
    assert [change.name for change in cpu.worse] == ["small.write"]
    assert cpu.num("same") == 1
    assert gpus.baseline is None
    assert hold(benches, since=W48.end) == []


def test_results_under_other_settings_are_not_compared(runs: Path) -> None:
    base = dataclasses.replace(result("storage", CPU, small__write=1.0), settings={"num": 1})
    write_result(runs.parent / "baselines" / "storage.cpu.json", base)
    put(runs, dataclasses.replace(base, settings={"num": 2}))
    benches = read_benches(runs.parent / "baselines", runs, until=W48.end)
    (held,) = hold(benches, since=W48.start)
    assert held.unlike == ["settings.num"]
    assert not held.changes


@pytest.mark.parametrize("change", [{"bench": [1]}, {"measured": "soon"}])
def test_a_broken_result_is_told(runs: Path, change: dict[str, object]) -> None:
    path = put(runs, result("storage", CPU, small=1.0))
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    benches = read_benches(runs.parent / "baselines", runs, until=W48.end)
    assert [each for each, _ in benches.problems] == [path]
    assert not benches.results
