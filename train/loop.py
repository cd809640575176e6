"""The training loop: which thing happens when. Everything it touches is an argument."""

from collections.abc import Callable, Iterator
from typing import Protocol, runtime_checkable

from pipeline.data.batch import Batch


@runtime_checkable
class Steps(Protocol):
    """What takes an optimiser step and knows its position."""

    num_images: int

    def step(self, batches: Iterator[Batch]) -> None:
        """Take one optimiser step."""


@runtime_checkable
class Events(Protocol):
    """What happens between steps. Each is **collective**: every rank calls it."""

    def log(self) -> None:
        """Write a row of figures; raise when they are not finite."""

    def validate(self) -> None:
        """Measure the loss on fixed images."""

    def sample(self) -> None:
        """Draw the sample grid."""

    def save(self) -> None:
        """Save a checkpoint."""


def train(
    trainer: Steps,
    batches: Iterator[Batch],
    *,
    until: int,
    every: dict[str, int],
    events: Events,
    should_stop: Callable[[], bool],
) -> bool:
    """Train until ``until`` images or until ``should_stop`` says so.

    Args:
        trainer: Already resumed.
        batches: Micro-batches that begin at ``trainer.num_images``.
        until: Position to stop at, in images over all ranks.
        every: Images between ``log``, ``validate``, ``sample`` and ``save``; 0 is never. A thing is
            due when a step crosses a multiple, so that a resumed run does what a straight one does.
        events: What to do then.
        should_stop: Collective: True on all ranks once any was told to stop.

    Returns:
        True when the run is finished, False when it stopped early and saved.
    """
    while trainer.num_images < until:
        before = trainer.num_images
        trainer.step(batches)
        now = trainer.num_images
        finished = now >= until
        due = {name for name, n in every.items() if n and (finished or before // n != now // n)}
        if "log" in due:
            events.log()
        if "validate" in due:
            events.validate()
        if "sample" in due:
            events.sample()
        stopping = should_stop()
        if "save" in due or stopping:
            events.save()
        if stopping and not finished:
            return False
    return True
