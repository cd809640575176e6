"""A stand-in for ``pynvml``: a node whose driver answers what a test says, error codes included."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any


class NVMLError(Exception):
    """What the driver raises for a question it does not support."""


class FakeNvml:
    """Answers ``nvml<Name>`` from ``answers``; a name that is not there is not supported.

    Args:
        num_gpus: GPUs of the node.
        driver: Whether there is one; without, ``nvmlInit`` raises as on a machine without a GPU.
        answers: By name without ``nvml``: a value, or a function of the call's arguments, where a
            GPU's handle is its index.
    """

    NVMLError = NVMLError

    def __init__(self, num_gpus: int = 0, *, driver: bool = True, **answers: Any) -> None:
        self.driver = driver
        self.answers: dict[str, Any] = {
            "DeviceGetCount": num_gpus,
            "DeviceGetHandleByIndex": lambda index: index,
            "Shutdown": None,
        } | answers

    def nvmlInit(self) -> None:  # noqa: N802 - the library's name
        if not self.driver:
            raise NVMLError("Driver Not Loaded")

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if not name.startswith("nvml"):
            raise AttributeError(name)

        def call(*arguments: Any) -> Any:
            key = name.removeprefix("nvml")
            if key not in self.answers:
                raise NVMLError("Not Supported")
            answer = self.answers[key]
            return answer(*arguments) if callable(answer) else answer

        return call


def dgx_b200(**answers: Any) -> FakeNvml:
    """Return a healthy DGX B200 as its driver describes it."""
    return FakeNvml(
        **{
            "num_gpus": 8,
            "SystemGetDriverVersion": "580.95.05",
            "SystemGetCudaDriverVersion": 13000,
            "DeviceGetName": "NVIDIA B200",
            "DeviceGetUUID": lambda index: f"GPU-0000000{index}",
            "DeviceGetMemoryInfo": SimpleNamespace(
                total=183359 * 2**20, free=182000 * 2**20, used=0
            ),
            "DeviceGetEnforcedPowerLimit": 1_000_000,
            "DeviceGetPowerManagementDefaultLimit": 1_000_000,
            "DeviceGetMaxClockInfo": 1965,
            "DeviceGetEccMode": [1, 1],
            "DeviceGetMigMode": [0, 0],
        }
        | answers
    )
