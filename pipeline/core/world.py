"""Where a process stands among its siblings: ranks and counts as plain integers."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """One process's place in a job. A value: nothing here talks to a network or a scheduler."""

    rank: int = 0
    """Index over all processes, 0 to ``world_size - 1``."""
    world_size: int = 1
    """Processes in the job, over all nodes."""
    local_rank: int = 0
    """Index on this node."""
    local_world_size: int = 1
    """Processes on this node."""
    node: int = 0
    """Index of this node."""
    num_nodes: int = 1
    """Nodes in the job."""
    device: str = "cpu"
    """Where tensors live: ``cpu`` or ``cuda:<index>``."""
    num_threads: int = 1
    """CPU threads this process may keep busy."""
    array_index: int = 0
    """Which job of a job array this is."""
    array_size: int = 1
    """Jobs in the array; they share a run and do not talk to each other."""

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.world_size:
            raise ValueError(f"rank {self.rank} is outside 0..{self.world_size - 1}")
        if not 0 <= self.local_rank < self.local_world_size:
            raise ValueError(f"local_rank {self.local_rank} outside 0..{self.local_world_size - 1}")
        if not 0 <= self.array_index < self.array_size:
            raise ValueError(f"array_index {self.array_index} outside 0..{self.array_size - 1}")

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that writes what is written once."""
        return self.rank == 0

    @property
    def writer(self) -> int:
        """Index over all processes of all jobs of the array."""
        return self.array_index * self.world_size + self.rank

    def deal(self, count: int) -> range:
        """Return the indices of ``count`` things that fall to this rank, dealt like cards."""
        return range(self.rank, count, self.world_size)
