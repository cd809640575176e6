"""The sweep through torch.distributed, with nccl-tests' columns: NCCL on GPUs, gloo on a CPU.

Runs in every rank of a process group that is already there. Sizes, buffers, bandwidths and the ring
of sendrecv are as in nccl-tests; data is small integers, so that sums are exact in any order.
torch's ``all_reduce`` and ``broadcast`` work in place only, and its ``all_to_all`` out of place
only: the other column is left empty rather than filled by a copy that would be timed too.

Not measured on GPU.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from bench.nccl.sweep import OPERATIONS, Figures, Sweep, SweepRow
from pipeline.core.timing import Stopwatch
from pipeline.core.world import World

PIECE_ALIGN_BYTES = 16
"""Pieces of a rank are a multiple of this, as in nccl-tests."""
CHUNK = 2**24
"""Elements that are filled or checked at a time: 128 MiB of indices."""
MODULUS = 8
"""Values are 0 to 7: float32 sums of up to two million ranks are exact."""
DTYPE = torch.float32
ITEM_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How torch calls an operation, on which buffers, and what must come out."""

    call: Callable[[Tensor, Tensor, World], object]
    """Of what is got, what is given, and the world."""
    expected: Callable[[Tensor, World, int], Tensor]
    """Of the indices of what a rank gets, the world and the elements of a piece."""
    gives_piece: bool = False
    gets_piece: bool = False
    has_pieces: bool = False
    """The size is that of all ranks' pieces."""
    out_of_place: bool = True
    in_place: bool = True
    redop: str = "none"
    root: int = -1


def _value(rank: int, index: Tensor) -> Tensor:
    return (index + 3 * rank).remainder(MODULUS).to(DTYPE)


def _sum_of_ranks(index: Tensor, world: World) -> Tensor:
    total = torch.zeros(index.shape, dtype=DTYPE, device=index.device)
    for rank in range(world.world_size):
        total += _value(rank, index)
    return total


def _from_each(index: Tensor, world: World, piece: int, *, offset: int) -> Tensor:
    """Return what the rank of each piece gave: its elements from ``offset`` on."""
    rank = index.div(piece, rounding_mode="floor")
    return (index.remainder(piece) + offset + 3 * rank).remainder(MODULUS).to(DTYPE)


def _exchange(got: Tensor, given: Tensor, world: World) -> None:
    """Send to the next rank and receive from the one before, both at once."""
    after, before = (world.rank + 1) % world.world_size, (world.rank - 1) % world.world_size
    pair = [dist.P2POp(dist.isend, given, after), dist.P2POp(dist.irecv, got, before)]
    for request in dist.batch_isend_irecv(pair):
        request.wait()


KINDS = {
    "all_reduce": Kind(
        call=lambda got, _, __: dist.all_reduce(got),
        expected=lambda index, world, _: _sum_of_ranks(index, world),
        out_of_place=False,
        redop="sum",
    ),
    "all_gather": Kind(
        call=lambda got, given, _: dist.all_gather_single(got, given),
        expected=lambda index, world, piece: _from_each(index, world, piece, offset=0),
        gives_piece=True,
        has_pieces=True,
    ),
    "reduce_scatter": Kind(
        call=lambda got, given, _: dist.reduce_scatter_single(got, given),
        expected=lambda index, world, piece: _sum_of_ranks(index + world.rank * piece, world),
        gets_piece=True,
        has_pieces=True,
        redop="sum",
    ),
    "alltoall": Kind(
        call=lambda got, given, _: dist.all_to_all_single(got, given),
        expected=lambda index, world, piece: _from_each(
            index, world, piece, offset=world.rank * piece
        ),
        has_pieces=True,
        in_place=False,
    ),
    "broadcast": Kind(
        call=lambda got, _, __: dist.broadcast(got, 0),
        expected=lambda index, _, __: _value(0, index),
        out_of_place=False,
        root=0,
    ),
    "sendrecv": Kind(
        call=_exchange,
        expected=lambda index, world, _: _value((world.rank - 1) % world.world_size, index),
        in_place=False,
    ),
}


def run_sweep(
    operation: str,
    *,
    world: World,
    sizes_bytes: Sequence[int],
    num_iterations: int,
    num_warmup: int,
) -> Sweep:
    """Collective: measure one operation over sizes; every rank gets the same sweep.

    A time is the mean over iterations in a row, then over ranks, as nccl-tests' default.

    Args:
        operation: One of ``OPERATIONS``.
        world: This rank; its device holds the buffers, two of the largest size.
        sizes_bytes: Growing; those too small for a piece of 16 bytes a rank are left out.
        num_iterations: Timed calls a size.
        num_warmup: Calls before those.
    """
    kind = KINDS[operation]
    backend = dist.get_backend()
    rows: list[SweepRow] = []
    notes: list[str] = []
    buffers = [torch.zeros(max(sizes_bytes) // ITEM_BYTES, dtype=DTYPE, device=world.device)
               for _ in range(2 if kind.out_of_place else 1)]  # fmt: skip
    try:
        for size_bytes in sizes_bytes:
            count = _count(kind, size_bytes, world.world_size)
            if count:
                case = _Case(kind, operation, world, count=count, buffers=buffers)
                rows.append(case.measure(num_iterations=num_iterations, num_warmup=num_warmup))
    except RuntimeError as error:
        if not _is_refusal(error):
            raise
        said, _, _ = str(error).partition("\n")
        notes.append(f"{backend} cannot: {said}")
    return Sweep(
        operation=operation,
        tool=f"torch {backend}",
        rows=tuple(rows),
        num_ranks=world.world_size,
        num_nodes=world.num_nodes,
        device=torch.cuda.get_device_name(world.device) if _on_gpu(world) else "CPU",
        nccl=".".join(map(str, torch.cuda.nccl.version())) if _on_gpu(world) else None,
        out_of_bounds=sum(p.wrong or 0 for r in rows for p in (r.out_of_place, r.in_place) if p),
        complete=not notes,
        notes=tuple(notes),
    )


class _Case:
    """One operation at one size."""

    def __init__(
        self, kind: Kind, operation: str, world: World, *, count: int, buffers: Sequence[Tensor]
    ) -> None:
        self.kind, self.operation, self.world, self.count = kind, operation, world, count
        self.total = count * world.world_size if kind.has_pieces else count
        self.buffers = buffers

    def measure(self, *, num_iterations: int, num_warmup: int) -> SweepRow:
        """Collective: check and time both placements that the operation has."""
        placed = {
            name: self._placed(in_place=in_place, iterations=num_iterations, warmup=num_warmup)
            for name, in_place, has in (
                ("out_of_place", False, self.kind.out_of_place),
                ("in_place", True, self.kind.in_place),
            )
            if has
        }
        return SweepRow(
            size_bytes=self.total * ITEM_BYTES,
            count=self.count,
            dtype="float",
            redop=self.kind.redop,
            root=self.kind.root,
            **placed,
        )

    def _placed(self, *, in_place: bool, iterations: int, warmup: int) -> Figures:
        got, given = self._views(in_place=in_place)
        self._fill(given)
        self.kind.call(got, given, self.world)
        wrong = self._agree(float(self._wrong(got)))
        for _ in range(warmup):
            self.kind.call(got, given, self.world)
        self._agree(0.0)  # nobody begins before all are there
        watch = Stopwatch()
        for _ in range(iterations):
            self.kind.call(got, given, self.world)
        _synchronise(self.world)
        time_s = self._agree(watch.elapsed_s()) / iterations / self.world.world_size
        algbw = self.total * ITEM_BYTES / time_s / 1e9
        factor = OPERATIONS[self.operation].busbw_factor(self.world.world_size)
        return Figures(
            time_us=_short(time_s * 1e6),
            algbw=_short(algbw),
            busbw=_short(algbw * factor),
            wrong=int(wrong),
        )

    def _views(self, *, in_place: bool) -> tuple[Tensor, Tensor]:
        piece = slice(self.world.rank * self.count, (self.world.rank + 1) * self.count)
        whole = slice(0, self.total)
        if in_place:
            buffer = self.buffers[0]
            return (
                buffer[piece if self.kind.gets_piece else whole],
                buffer[piece if self.kind.gives_piece else whole],
            )
        return (
            self.buffers[1][: self.count if self.kind.gets_piece else self.total],
            self.buffers[0][: self.count if self.kind.gives_piece else self.total],
        )

    def _fill(self, given: Tensor) -> None:
        for buffer in self.buffers:
            buffer[: self.total].fill_(-1)  # what stays so was not written
        for start, stop in _chunks(given):
            index = torch.arange(start, stop, device=given.device)
            given[start:stop] = _value(self.world.rank, index)

    def _wrong(self, got: Tensor) -> int:
        wrong = 0
        for start, stop in _chunks(got):
            index = torch.arange(start, stop, device=got.device)
            must = self.kind.expected(index, self.world, self.count)
            wrong += int((got[start:stop] != must).sum())
        return wrong

    def _agree(self, value: float) -> float:
        """Collective: return the sum over ranks, after what was asked of the device is done."""
        _synchronise(self.world)
        total = torch.tensor(value, dtype=torch.float64, device=self.world.device)
        dist.all_reduce(total)
        return float(total)


def sizes_between(least_bytes: int, most_bytes: int, *, factor: int) -> list[int]:
    """Return sizes from ``least_bytes`` on, each ``factor`` times the one before."""
    sizes = [least_bytes]
    while sizes[-1] * factor <= most_bytes:
        sizes.append(sizes[-1] * factor)
    return sizes


def _is_refusal(error: RuntimeError) -> bool:
    """Whether a backend has no such operation; all ranks are told alike, before anything is sent.

    No call tells beforehand what a backend has. c10d's base class refuses with a bare RuntimeError,
    "Backend gloo does not support ..." (Backend.hpp); its own and CUDA's faults, which one rank may
    meet alone and which may speak of support too, are subclasses (DistError, AcceleratorError).
    """
    is_bare = type(error) is RuntimeError
    return isinstance(error, NotImplementedError) or (is_bare and "does not support" in str(error))


def _count(kind: Kind, size_bytes: int, num_ranks: int) -> int:
    """Return the elements of a rank's piece, or of all where there are none."""
    if not kind.has_pieces:
        return size_bytes // ITEM_BYTES
    piece_bytes = size_bytes // num_ranks // PIECE_ALIGN_BYTES * PIECE_ALIGN_BYTES
    return piece_bytes // ITEM_BYTES


def _chunks(tensor: Tensor) -> list[tuple[int, int]]:
    size = tensor.numel()
    return [(start, min(start + CHUNK, size)) for start in range(0, size, CHUNK)]


def _on_gpu(world: World) -> bool:
    return world.device.startswith("cuda")


def _synchronise(world: World) -> None:
    if _on_gpu(world):
        torch.cuda.synchronize(world.device)


def _short(value: float) -> float:
    return float(f"{value:.6g}")
