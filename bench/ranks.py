"""Run a function on several processes of this node, as torchrun would start them."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, TypeVar

import torch
from accelerate import PartialState
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from pipeline.core.world import World

T = TypeVar("T")


def on_ranks(
    num_ranks: int, task: Callable[..., T], *arguments: Any, device: str, num_threads: int
) -> list[T]:
    """Call ``task(world, *arguments)`` in fresh processes that form one process group.

    Args:
        num_ranks: Processes; one alone forms no group, as a job of one task does not.
        task: A function of a module.
        arguments: What it is told, the same everywhere.
        device: ``cpu`` or ``cuda``; rank r computes on GPU r.
        num_threads: CPU threads a rank.

    Returns:
        What each rank returned, by rank.
    """
    if num_ranks == 1:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            return [pool.submit(_alone, task, device, num_threads, arguments).result()]
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=num_ranks,
        run_id="bench",
        rdzv_backend="c10d",
        rdzv_endpoint="127.0.0.1:0",
        local_addr="127.0.0.1",
        max_restarts=0,
        monitor_interval=0.1,
    )
    told = elastic_launch(config, _among_others)(task, device, num_threads, arguments)
    return [told[rank] for rank in range(num_ranks)]


def _alone(task: Callable[..., T], device: str, num_threads: int, arguments: tuple[Any, ...]) -> T:
    torch.set_num_threads(num_threads)
    world = World(device="cpu" if device == "cpu" else "cuda:0", num_threads=num_threads)
    return task(world, *arguments)


def _among_others(
    task: Callable[..., T], device: str, num_threads: int, arguments: tuple[Any, ...]
) -> T:
    torch.set_num_threads(num_threads)
    state = PartialState(cpu=device == "cpu")
    local = state.local_process_index
    world = World(
        rank=state.process_index,
        world_size=state.num_processes,
        local_rank=local,
        local_world_size=state.num_processes,
        device="cpu" if device == "cpu" else f"cuda:{local}",
        num_threads=num_threads,
    )
    try:
        return task(world, *arguments)
    finally:
        state.destroy_process_group()
