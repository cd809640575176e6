"""The process group, mixed precision and accumulation, all by accelerate.

accelerate finds RANK, WORLD_SIZE and MASTER_ADDR in the environment; ``jobs/runtime`` put them
there.
"""

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs

from pipeline.core.device import require_device
from pipeline.core.errors import InputError
from pipeline.core.world import World
from pipeline.generate.conf import Precision

MIXED_PRECISION = {Precision.fp32: "no", Precision.bf16: "bf16", Precision.fp16: "fp16"}


def build_accelerator(
    world: World, *, precision: Precision, num_accumulation_steps: int
) -> Accelerator:
    """Collective: join the process group, NCCL on GPUs, gloo on CPUs.

    Raises:
        InputError: The rank's GPU is not there, or the precision needs one.
    """
    require_device(world.device)
    on_gpu = world.device.startswith("cuda")
    if precision is Precision.fp16 and not on_gpu:
        raise InputError("precision: fp16 needs a GPU; allowed on a CPU: fp32, bf16")
    if on_gpu:
        torch.cuda.set_device(torch.device(world.device))
    accelerator = Accelerator(
        cpu=not on_gpu,
        mixed_precision=MIXED_PRECISION[precision],
        gradient_accumulation_steps=num_accumulation_steps,
        kwargs_handlers=[
            # find_unused_parameters keeps DDP from laying its buckets out anew after one step.
            # A resumed run would take that first step in another layout, and with more than two
            # ranks the sums over ranks would then be rounded in another order.
            DistributedDataParallelKwargs(
                find_unused_parameters=True, gradient_as_bucket_view=True, broadcast_buffers=False
            )
        ],
    )
    assert accelerator.num_processes == world.world_size, "jobs/runtime exports RANK, WORLD_SIZE"
    return accelerator


def same_everywhere(value: int) -> bool:
    """Collective: whether every rank passed the same integer."""
    if not torch.distributed.is_initialized():
        return True
    values: list[object] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(values, value)
    return len(set(values)) == 1
