"""When to stop: the scheduler's signal or the job's own deadline. Both only set a flag."""

import signal
import time
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

from pipeline.core.world import World

SIGNALS = {
    # USR2, not USR1: NCCL may catch USR1.
    signal.SIGUSR2: "requeue",
    signal.SIGTERM: "end",
    signal.SIGINT: "end",
}


class StopFlag:
    """Knows whether this process was told to stop, and whether any rank was.

    Args:
        deadline_s: Clock (``time.time``) after which the job should save and go; None is never.
        world: Ranks that must agree.
        on_end: Called in the signal handler when the end is near, with True when the job had been
            warned and did not save in the time it was given.
    """

    def __init__(
        self,
        *,
        deadline_s: float | None,
        world: World,
        on_end: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self.deadline_s = deadline_s
        self.world = world
        self.on_end = on_end
        self.reason = ""
        self.wants_requeue = False
        self._group: Any = None

    def listen(self) -> None:
        """Side effect: take over the process's handlers of USR2, TERM and INT."""
        for number in SIGNALS:
            signal.signal(number, self._receive)

    def deafen(self) -> None:
        """Side effect: hear no signal any more; what there was to save is saved."""
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)

    def give_back(self) -> None:
        """Side effect: signals end the process again; there is nothing left to spoil."""
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number in (signal.SIGTERM, signal.SIGUSR2):
            signal.signal(number, signal.SIG_DFL)

    def requested(self) -> bool:
        """Whether this process was told to stop. Local; cheap."""
        if not self.reason and self.deadline_s is not None and time.time() >= self.deadline_s:
            self.reason, self.wants_requeue = "time limit", True
        return bool(self.reason)

    def agreed(self) -> bool:
        """Collective: whether any rank was told to stop."""
        local = self.requested()
        if self.world.world_size == 1:
            return local
        import torch
        import torch.distributed as dist

        if self._group is None:
            # A CPU group of its own: the flag must not queue behind gradients on the GPU.
            self._group = dist.new_group(backend="gloo")
        votes = torch.tensor([int(local), int(local and not self.wants_requeue)])
        dist.all_reduce(votes, op=dist.ReduceOp.MAX, group=self._group)
        if votes[0] and not local:
            self.reason = "another rank was told to stop"
        if votes[0]:
            # One rank that was told to end for good ends the job for good. Without a vote the word
            # stays: a signal may have come in while the others voted, and counts next time.
            self.wants_requeue = not votes[1]
        return bool(votes[0])

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        kind = SIGNALS[signal.Signals(number)]
        if self.reason and kind == "end" and self.wants_requeue:
            # Slurm sends TERM after the warning: the warning's word stands.
            self.on_end(True)
            return
        self.reason = signal.Signals(number).name
        self.wants_requeue = kind == "requeue"
        if kind == "end":
            self.on_end(False)


def find_deadline(
    env: Mapping[str, str], *, timeout_min: int, margin_s: int, started_s: float
) -> float:
    """Return when to stop: the scheduler's end of the job, or our own limit, less a margin."""
    end_s = float(env.get("SLURM_JOB_END_TIME") or started_s + 60 * timeout_min)
    return end_s - margin_s
