"""Whether the device a rank was given is there."""

import torch

from pipeline.core.errors import InputError


def require_device(device: str) -> None:
    """Refuse a GPU that torch does not see.

    Args:
        device: ``cpu`` or ``cuda:<index>``.

    Raises:
        InputError: Naming the key that asked for it.
    """
    kind, _, index = device.partition(":")
    seen = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "cuda" and int(index or 0) >= seen:
        raise InputError(
            f"cluster.gpus_per_node: this rank needs {device}, torch {torch.__version__} sees "
            f"{seen} GPUs; check the driver, CUDA_VISIBLE_DEVICES and torch's build, or set 0"
        )
