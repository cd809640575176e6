"""torch's sweep in real ranks that talk through gloo."""

import json
import multiprocessing
import socket
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from bench.nccl import torch_sweep
from bench.nccl.sweep import OPERATIONS, sweep_from_dict, sweep_to_dict
from bench.nccl.torch_sweep import KINDS, run_sweep, sizes_between
from pipeline.core.world import World

# torch is loaded once, in the process that all ranks are forked from.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["bench.nccl.torch_sweep"])
SIZES = [8, 96, 1000, 4096]


def _rank(rank: int, world_size: int, port: int, breaks: str, out: Path) -> None:
    dist.init_process_group(
        "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=world_size
    )
    if breaks == "data":  # a library that sends nothing, and spoils an element
        dist.broadcast = lambda got, _: got[-1:].fill_(9)
    if breaks == "refuses":
        dist.broadcast = _refuse
    if breaks == "fails":
        dist.broadcast = _fail
    torch_sweep.CHUNK = 100
    world = World(rank=rank, world_size=world_size, local_rank=rank, local_world_size=world_size)
    names = ["broadcast"] if breaks else list(OPERATIONS)
    told = [
        sweep_to_dict(
            run_sweep(name, world=world, sizes_bytes=SIZES, num_iterations=2, num_warmup=1)
        )
        for name in names
    ]
    if rank == world_size - 1:
        out.write_text(json.dumps(told))
    dist.destroy_process_group()


def _refuse(*_: object) -> None:
    """As c10d itself words it: of what we sweep gloo has everything, this it has not."""
    dist.group.WORLD._get_backend(torch.device("cpu")).suspend()


def _fail(*_: object) -> None:
    raise dist.DistBackendError("NCCL error: peer access does not support this topology")


def run(tmp_path: Path, world_size: int, breaks: str = "", *, status: int = 0):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    out = tmp_path / "out.json"
    ranks = [
        CONTEXT.Process(target=_rank, args=(rank, world_size, port, breaks, out))
        for rank in range(world_size)
    ]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(60)
    assert [process.exitcode for process in ranks] == [status] * world_size
    if status:
        return {}
    return {v["operation"]: sweep_from_dict(v) for v in json.loads(out.read_text())}


@pytest.fixture(scope="module")
def sweeps(tmp_path_factory):
    return run(tmp_path_factory.mktemp("sweep"), 3)


def test_every_operation_is_measured_checked_and_marked_as_gloo(sweeps):
    assert set(sweeps) == set(OPERATIONS)
    for sweep in sweeps.values():
        assert sweep.complete
        assert (sweep.num_ranks, sweep.device, sweep.tool) == (3, "CPU", "torch gloo")
        assert sweep.wrong == 0
        for row in sweep.rows:
            assert row.best.wrong == 0
            assert row.best.time_us > 0


def test_bandwidths_follow_from_size_time_and_ranks(sweeps):
    for name, sweep in sweeps.items():
        factor = OPERATIONS[name].busbw_factor(3)
        for row in sweep.rows:
            algbw = row.size_bytes / row.best.time_us / 1e3
            assert row.best.algbw == pytest.approx(algbw, rel=1e-4)
            assert row.best.busbw == pytest.approx(algbw * factor, rel=1e-4)


def test_pieces_are_whole_multiples_of_16_bytes(sweeps):
    assert [row.size_bytes for row in sweeps["all_gather"].rows] == [96, 960, 4080]
    assert [row.count for row in sweeps["all_gather"].rows] == [8, 80, 340]
    assert [row.size_bytes for row in sweeps["all_reduce"].rows] == SIZES


def test_a_placement_torch_does_not_have_is_left_empty(sweeps):
    for name, kind in KINDS.items():
        row = sweeps[name].rows[-1]
        assert (row.out_of_place is not None) == kind.out_of_place
        assert (row.in_place is not None) == kind.in_place


def test_wrong_data_is_counted(tmp_path):
    broken = run(tmp_path, 2, "data")["broadcast"]
    # The root's one element, and all of the other rank.
    assert [row.best.wrong for row in broken.rows] == [1 + size // 4 for size in SIZES]
    assert broken.wrong == sum(1 + size // 4 for size in SIZES)


def test_what_the_backend_cannot_is_said_not_faked(tmp_path):
    refused = run(tmp_path, 2, "refuses")["broadcast"]
    assert refused.rows == ()
    assert not refused.complete
    assert refused.notes == ("gloo cannot: Backend gloo does not support suspend",)


def test_a_fault_that_speaks_of_support_is_no_refusal(tmp_path):
    run(tmp_path, 2, "fails", status=1)
    assert not (tmp_path / "out.json").exists()


def test_sizes_grow_by_the_factor_up_to_the_largest():
    assert sizes_between(8, 100, factor=2) == [8, 16, 32, 64]
    assert sizes_between(8, 8, factor=2) == [8]
