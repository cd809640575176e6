import json
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.conf import ClusterConfig, Where
from jobs.runtime.launch import slurm_parameters
from jobs.runtime.stop import StopFlag, find_deadline
from jobs.runtime.trackers import JsonlTracker
from jobs.runtime.world import job_id, read_world
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
