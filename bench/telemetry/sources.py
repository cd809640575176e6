"""Who tells of the GPUs: DCGM where it answers, else NVML, else ``nvidia-smi``, else nobody."""

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from bench.telemetry.dcgm import Dcgm
from bench.telemetry.dmon import SmiDmon
from bench.telemetry.nvml import NvmlSource
from bench.telemetry.stream import Rows, ShouldStop, SourceError, never


class Source(Protocol):
    """Something that knows what the GPUs do."""

    @property
    def name(self) -> str:
        """What it is called in the record."""
        ...

    def read(self) -> Rows:
        """Return the newest values.

        Raises:
            SourceError: It has died.
        """
        ...

    def close(self) -> None:
        """Let go of what it holds."""
        ...


Opener = Callable[[], Source]


def openers(
    *, interval_s: float, uuids: Collection[str] | None, should_stop: ShouldStop = never
) -> list[Opener]:
    """Return the ways to a source, best first.

    ``nvidia-smi`` knows no UUIDs, so it is asked only where all GPUs of the node are wanted.

    Args:
        interval_s: How often it will be read.
        uuids: The GPUs to sample; None: all of the node.
        should_stop: Whether to wait for a source no longer.
    """
    found: list[Opener] = [
        lambda: Dcgm(interval_s=interval_s, uuids=uuids, should_stop=should_stop),
        lambda: NvmlSource(uuids=uuids),
    ]
    if uuids is None:
        found.append(lambda: SmiDmon(interval_s=interval_s, should_stop=should_stop))
    return found


def choose(
    ways: Sequence[Opener], should_stop: ShouldStop = never
) -> tuple[Source | None, list[str]]:
    """Open the first source that answers, and read it once.

    Args:
        ways: Best first.
        should_stop: Whether to try no further way.

    Returns:
        The source, None where none answers; and why each one before it did not.
    """
    refused: list[str] = []
    for way in ways:
        if should_stop():
            refused.append("the job was over before an answer")
            break
        try:
            source = way()
        except SourceError as error:
            refused.append(str(error))
            continue
        try:
            source.read()
        except SourceError as error:
            source.close()
            refused.append(f"{source.name}: {error}")
            continue
        return source, refused
    return None, refused
