"""One rank of torch's sweep; ``jobs.nccl`` starts it, by srun or by torch.distributed.run."""

import argparse
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.distributed as dist

from bench.nccl.sweep import sweep_to_dict
from bench.nccl.torch_sweep import run_sweep, sizes_between
from pipeline.core.files import write_atomic
from pipeline.core.world import World

SLURM = {
    "rank": "SLURM_PROCID",
    "world_size": "SLURM_STEP_NUM_TASKS",
    "local_rank": "SLURM_LOCALID",
    "node": "SLURM_NODEID",
    "num_nodes": "SLURM_STEP_NUM_NODES",
}
TORCHRUN = {"rank": "RANK", "world_size": "WORLD_SIZE", "local_rank": "LOCAL_RANK"}


def read_place(env: Mapping[str, str], *, device: str) -> World:
    """Return this rank's place in its step, which may be smaller than its job."""
    names = TORCHRUN if "TORCHELASTIC_RUN_ID" in env else SLURM
    told = {key: int(env[name]) for key, name in names.items()}
    # A task that was given one GPU sees it as 0; one that sees all takes its own.
    alone = env.get("CUDA_VISIBLE_DEVICES", "").count(",") == 0 and "CUDA_VISIBLE_DEVICES" in env
    index = 0 if alone else told["local_rank"]
    local_world_size = told["world_size"] // told.get("num_nodes", 1)
    return World(
        **told,
        local_world_size=local_world_size,
        device=f"cuda:{index}" if device == "cuda" else "cpu",
    )


def main() -> int:
    """Measure every operation; the first rank writes after each, so that a death costs one."""
    parser = argparse.ArgumentParser(prog="python -m jobs.runtime.nccl_rank", description=__doc__)
    parser.add_argument("--operations", type=lambda text: text.split(","), required=True)
    for name in ("min-bytes", "max-bytes", "step-factor", "num-iterations", "num-warmup"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--device", choices=["cpu", "cuda"], required=True)
    parser.add_argument("--meet", default="env://", help="where ranks meet")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    world = read_place(os.environ, device=given.device)
    if given.device == "cuda":
        torch.cuda.set_device(world.device)
    torch.set_num_threads(1)
    dist.init_process_group(
        "nccl" if given.device == "cuda" else "gloo",
        init_method=given.meet,
        rank=world.rank,
        world_size=world.world_size,
        # NCCL picks a rank's GPU by it; without, it guesses and warns.
        device_id=torch.device(world.device) if given.device == "cuda" else None,
    )
    sizes = sizes_between(given.min_bytes, given.max_bytes, factor=given.step_factor)
    done = []
    for operation in given.operations:
        sweep = run_sweep(
            operation,
            world=world,
            sizes_bytes=sizes,
            num_iterations=given.num_iterations,
            num_warmup=given.num_warmup,
        )
        done.append(sweep_to_dict(sweep))
        if world.is_main:
            write_atomic(given.out, json.dumps(done).encode())
    dist.destroy_process_group()
    return 0


if __name__ == "__main__":
    sys.exit(main())
