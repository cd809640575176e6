"""NVML, the driver's own library, with an answer of None wherever a device has none."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import Any

import pynvml


class Nvml:
    """The GPUs of this machine that this process may use.

    Args:
        library: ``pynvml`` or what stands in for it; already initialised.
    """

    def __init__(self, library: ModuleType | Any = pynvml) -> None:
        self.library = library
        self.handles: list[Any] = []
        for index in range(library.nvmlDeviceGetCount()):
            # One that is lost, or that a cgroup keeps from this job, is counted all the same.
            with suppress(library.NVMLError):
                self.handles.append(library.nvmlDeviceGetHandleByIndex(index))

    def ask(self, name: str, *arguments: Any) -> Any:
        """Call ``nvml<name>``; None where this driver or device does not support it.

        Each question is asked alone: one that is not supported must not take others with it.
        """
        call = getattr(self.library, f"nvml{name}", None)
        if call is None:
            return None
        try:
            told = call(*arguments)
        except self.library.NVMLError:
            return None
        return told.decode() if isinstance(told, bytes) else told


@contextmanager
def open_nvml(library: ModuleType | Any = pynvml) -> Iterator[Nvml | None]:
    """Lend NVML; None where there is no driver or it does not answer."""
    try:
        library.nvmlInit()
    except (library.NVMLError, OSError):
        yield None
        return
    try:
        try:
            nvml = Nvml(library)
        except library.NVMLError:
            nvml = None
        yield nvml
    finally:
        with suppress(library.NVMLError):
            library.nvmlShutdown()
