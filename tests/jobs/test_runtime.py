import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from jobs.conf import TrainJob
from jobs.runtime.conf import ClusterConfig, TrackerConfig, WandbMode, Where
from jobs.runtime.config import compose_config
from jobs.runtime.freeze import freeze_run, load_frozen
from jobs.runtime.launch import slurm_parameters
from jobs.runtime.lock import take_lock
from jobs.runtime.record import RunRecord
from jobs.runtime.stop import StopFlag, find_deadline
from jobs.runtime.trackers import JsonlTracker, build_trackers
from jobs.runtime.world import count_gpus, job_id, read_world
from pipeline.core.errors import InputError
from pipeline.core.outcome import Outcome
from pipeline.core.rundir import RunDir
from pipeline.core.world import World

SLURM = {
    "SUBMITIT_EXECUTOR": "slurm", "SLURM_PROCID": "9", "SLURM_NTASKS": "16", "SLURM_LOCALID": "1",
    "SLURM_NODEID": "1", "SLURM_JOB_NUM_NODES": "2", "SLURM_JOB_ID": "77",
}  # fmt: skip
LOCAL = {
    "SUBMITIT_EXECUTOR": "local", "SUBMITIT_LOCAL_GLOBALID": "1", "SUBMITIT_LOCAL_NTASKS": "2",
    "SUBMITIT_LOCAL_LOCALID": "1", "SUBMITIT_LOCAL_NODEID": "0",
    "SUBMITIT_LOCAL_JOB_NUM_NODES": "1", "SUBMITIT_LOCAL_JOB_ID": "123",
}  # fmt: skip


def test_a_world_is_read_from_slurm() -> None:
    world = read_world(SLURM, ClusterConfig(gpus_per_node=8, cpus_per_task=14), num_cpus=224)
    assert (world.rank, world.world_size, world.node, world.num_nodes) == (9, 16, 1, 2)
    assert (world.local_rank, world.local_world_size) == (1, 8)
    assert world.device == "cuda:1"
    assert world.num_threads == 14
    assert job_id(SLURM) == "77"


def test_a_rank_that_sees_one_gpu_alone_takes_it() -> None:
    env = SLURM | {"CUDA_VISIBLE_DEVICES": "5"}
    assert read_world(env, ClusterConfig(gpus_per_node=8), num_cpus=8).device == "cuda:0"


@pytest.mark.parametrize(
    ("gres", "num_gpus"),
    [
        (None, 16),
        ("gpu", 2),
        ("gpu:4", 8),
        ("gpu:b200", 2),
        ("gres/gpu:b200:8,nvme:1", 16),
        ("gpu:a100:1,gpu:b200:2", 6),
        ("gpu:b200:4(S:0-1)", 8),
        ("gpu:4(S:0,1),nvme:1", 8),
        ("gpu:1g.23gb:7", None),
        ("gpu:1g.23gb", None),
        ("shard:4", None),
    ],
)
def test_gpus_are_counted_however_they_were_asked_for(
    gres: str | None, num_gpus: int | None
) -> None:
    assert count_gpus(ClusterConfig(num_nodes=2, gpus_per_node=8, gres=gres)) == num_gpus


def test_two_local_ranks_share_the_cores() -> None:
    world = read_world(LOCAL, ClusterConfig(), num_cpus=2)
    assert (world.rank, world.world_size, world.num_threads, world.device) == (1, 2, 1, "cpu")


@pytest.mark.parametrize(
    ("told", "num_cpus", "num_threads"),
    [
        ({"SLURM_CPUS_ON_NODE": "112"}, 112, 14),  # eight ranks, none bound
        ({"SLURM_CPUS_ON_NODE": "112"}, 14, 14),  # each bound to its own
        ({"SLURM_CPUS_ON_NODE": "112", "SLURM_CPUS_PER_TASK": "4"}, 112, 4),
        ({"SLURM_CPUS_ON_NODE": "112"}, 2, 2),  # Slurm believes in more than there are
        ({"SLURM_CPUS_ON_NODE": "4"}, 4, 1),
        ({}, 32, 4),
    ],
)
def test_ranks_share_the_cores_they_were_given(
    told: dict[str, str], num_cpus: int, num_threads: int
) -> None:
    env = SLURM | {"SLURM_NTASKS": "16", "SLURM_JOB_NUM_NODES": "2"} | told
    assert read_world(env, ClusterConfig(), num_cpus=num_cpus).num_threads == num_threads
    assert read_world(env, ClusterConfig(cpus_per_task=3), num_cpus=num_cpus).num_threads == 3


def test_without_a_scheduler_there_is_one_rank() -> None:
    assert read_world({}, ClusterConfig(), num_cpus=4) == World(num_threads=4)
    assert job_id({}) == "inline"


def test_the_dgx_profile_reaches_sbatch(tmp_path: Path) -> None:
    cluster = ClusterConfig(
        where=Where.slurm, tasks_per_node=8, gpus_per_node=8, cpus_per_task=14, exclusive=True,
        timeout_min=720, signal_delay_s=180, partition="gpu", container_image="img.sqsh",
        container_mounts=["/a:/b"], env={"NCCL_DEBUG": "WARN"}, setup=["module load x"],
    )  # fmt: skip
    told = slurm_parameters(RunDir(tmp_path / "it's"), cluster, name="train-x")
    from submitit.slurm.slurm import _make_sbatch_string

    text = _make_sbatch_string(command="python", folder=tmp_path, **told)
    for line in (
        "#SBATCH --ntasks-per-node=8", "#SBATCH --gpus-per-node=8", "#SBATCH --cpus-per-task=14",
        "#SBATCH --exclusive", "#SBATCH --time=720", "#SBATCH --signal=USR2@180",
        "#SBATCH --requeue", "#SBATCH --partition=gpu", "export NCCL_DEBUG=WARN",
        "export OMP_NUM_THREADS=14", "export OMP_WAIT_POLICY=PASSIVE", "module load x",
        "#SBATCH --open-mode=append",
    ):  # fmt: skip
        assert line in text.splitlines(), text
    for part in ("--kill-on-bad-exit=1", "--container-image=img.sqsh", "--container-mounts=/a:/b"):
        assert part in text
    assert "account" not in text
    assert "qos" not in text


def test_the_deadline_is_slurms_or_our_own() -> None:
    own = find_deadline({}, timeout_min=10, margin_s=60, started_s=1000.0)
    assert own == 1000.0 + 600 - 60
    env = {"SLURM_JOB_END_TIME": "5000"}
    assert find_deadline(env, timeout_min=10, margin_s=60, started_s=1000.0) == 4940.0


@pytest.mark.parametrize(
    ("signals", "reason", "wants_requeue"),
    [
        ([signal.SIGUSR2], "SIGUSR2", True),
        ([signal.SIGTERM], "SIGTERM", False),
        ([signal.SIGINT], "SIGINT", False),
        ([signal.SIGUSR2, signal.SIGTERM], "SIGUSR2", True),
    ],
)
def test_signals_set_a_flag(
    signals: list[signal.Signals], reason: str, wants_requeue: bool
) -> None:
    before = {
        number: signal.getsignal(number)
        for number in (signal.SIGUSR2, signal.SIGTERM, signal.SIGINT)
    }
    stop = StopFlag(deadline_s=None, world=World())
    try:
        stop.listen()
        assert not stop.agreed()
        for number in signals:
            signal.raise_signal(number)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert stop.agreed()
    assert (stop.reason, stop.wants_requeue) == (reason, wants_requeue)


class Votes:
    """Stands in for the process group: what the other ranks voted, and what happens meanwhile."""

    class ReduceOp:
        MAX = "max"

    def __init__(self, others: list[int], meanwhile: Callable[[], None] = lambda: None) -> None:
        self.others = others
        self.meanwhile = meanwhile

    def new_group(self, backend: str) -> str:
        return backend

    def all_reduce(self, votes: Any, op: str, group: str) -> None:
        self.meanwhile()
        for i, other in enumerate(self.others):
            votes[i] = max(int(votes[i]), other)


def vote(monkeypatch: pytest.MonkeyPatch, stop: StopFlag, group: Votes) -> bool:
    monkeypatch.setattr("torch.distributed.all_reduce", group.all_reduce)
    monkeypatch.setattr("torch.distributed.new_group", group.new_group)
    return stop.agreed()


def test_a_warning_that_comes_in_during_a_vote_counts_in_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop = StopFlag(deadline_s=None, world=World(world_size=2, local_world_size=2))
    warned = Votes([0, 0], meanwhile=lambda: stop._receive(signal.SIGUSR2, None))
    assert not vote(monkeypatch, stop, warned)
    assert vote(monkeypatch, stop, Votes([0, 0]))
    assert stop.wants_requeue


@pytest.mark.parametrize(("others", "requeues"), [([1, 0], True), ([1, 1], False)])
def test_ranks_agree_on_how_to_stop(
    monkeypatch: pytest.MonkeyPatch, others: list[int], requeues: bool
) -> None:
    stop = StopFlag(deadline_s=None, world=World(world_size=2, local_world_size=2))
    assert vote(monkeypatch, stop, Votes(others))
    assert stop.wants_requeue is requeues


def test_after_the_end_no_signal_is_heard() -> None:
    numbers = (signal.SIGUSR2, signal.SIGTERM, signal.SIGINT)
    before = {number: signal.getsignal(number) for number in numbers}
    stop = StopFlag(deadline_s=None, world=World())
    try:
        stop.listen()
        stop.deafen()
        for number in numbers:
            signal.raise_signal(number)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert not stop.requested()


def test_a_run_folder_is_its_main_ranks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, second = RunDir(tmp_path), World(rank=1, world_size=2, local_rank=1, local_world_size=2)
    monkeypatch.setattr("jobs.runtime.lock.WAIT_S", 0.3)
    with pytest.raises(InputError, match="unknown"):
        take_lock(run, second, holder="7")
    (held,) = take_lock(run, World(), holder="7")
    assert take_lock(run, second, holder="7") == []
    # Neither rank of another job gets in, and none of them waits for ever.
    for world in (World(), second):
        with pytest.raises(InputError, match="in use by job 7 on"):
            take_lock(run, world, holder="8")
    held.close()
    (again,) = take_lock(run, World(), holder="8")
    again.close()


def test_wandb_that_is_down_ends_no_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def down(*_: Any, **__: Any) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr("wandb.init", down)
    cfg = TrackerConfig(wandb=WandbMode.online)
    trackers = build_trackers(cfg, RunDir(tmp_path / "train" / "a" / "b"), config={}, is_main=True)
    trackers.log(8, {"train/loss": 1.0})
    trackers.finish([], figures={}, succeeded=True)
    assert "no route" in caplog.text
    assert (tmp_path / "train" / "a" / "b" / "metrics.jsonl").read_text().count("\n") == 1


def test_an_attempt_that_has_nothing_to_do_keeps_the_figures(tmp_path: Path) -> None:
    for figures in ({"num_images": 64, "validation_loss": 0.5}, {"num_images": 64}):
        record = RunRecord(RunDir(tmp_path), job="train", job_id="1", num_ranks=1, num_gpus=0)
        record.end("finished", reason="", outcome=Outcome(finished=True, figures=figures))
    assert record.value["figures"] == {"num_images": 64, "validation_loss": 0.5}
    assert record.num_attempts == 2
    resubmitted = RunRecord(RunDir(tmp_path), job="train", job_id="2", num_ranks=1, num_gpus=0)
    assert resubmitted.num_attempts == 1


def test_what_was_in_a_run_folder_survives_a_failed_submission(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: RunDir) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("jobs.runtime.freeze._copy_code", full)
    config = compose_config(
        "train", TrainJob, ["+experiment=smoke", f"runs_dir={tmp_path}", "run_id=it"]
    )
    run = tmp_path / "train" / "smoke" / "it"
    with pytest.raises(InputError, match="No space left"):
        freeze_run("train", config, command="")
    assert not run.exists()
    (run / "checkpoints").mkdir(parents=True)
    with pytest.raises(InputError, match="No space left"):
        freeze_run("train", config, command="")
    assert (run / "checkpoints").is_dir()


def test_a_passed_deadline_asks_for_a_requeue() -> None:
    stop = StopFlag(deadline_s=0.0, world=World())
    assert stop.requested()
    assert stop.wants_requeue


@given(st.integers(1, 20), st.integers(0, 25), st.integers(0, 30))
def test_a_rewound_trace_goes_on_as_if_never_cut(rows: int, back_to: int, torn: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "metrics.jsonl"
        tracker = JsonlTracker(path)
        for n in range(rows):
            tracker.log(n, {"train/loss": n / 3})
        whole = path.read_bytes()
        back_to = min(back_to, rows - 1)
        path.write_bytes(whole + b'{"num_images": 99, "tr'[:torn])
        tracker.rewind(back_to)
        for n in range(back_to + 1, rows):
            tracker.log(n, {"train/loss": n / 3})
        assert path.read_bytes() == whole
        assert [json.loads(line)["num_images"] for line in path.read_text().splitlines()] == list(
            range(rows)
        )


def test_a_run_from_before_a_setting_goes_on_in_its_own_words(tmp_path: Path) -> None:
    """The frozen code would refuse a key that came after it."""
    base = ["+experiment=smoke", f"runs_dir={tmp_path}", "run_id=it"]
    run = freeze_run("train", compose_config("train", TrainJob, base), command="")
    old = yaml.safe_load(run.config.read_text())
    del old["telemetry"], old["cluster"]["preflight"]
    old["cluster"]["env"] = {"OLD": "1"}
    run.config.write_text(yaml.safe_dump(old, sort_keys=False))
    more = ["cluster.timeout_min=9", "cluster.env.NEW=2", "telemetry.interval_s=1"]
    freeze_run("train", compose_config("train", TrainJob, [*base, *more]), command="")
    now = yaml.safe_load(run.config.read_text())
    assert now["cluster"].pop("timeout_min") == 9
    assert now["cluster"].pop("env") == {"NEW": "2"}
    del old["cluster"]["timeout_min"], old["cluster"]["env"]
    assert now == old
    assert load_frozen(run, TrainJob).cluster.timeout_min == 9
