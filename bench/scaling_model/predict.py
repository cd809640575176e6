"""Times of training and generation on n ranks, from times of one. Pure: numbers in, numbers out.

Training, synchronous and data-parallel, one step::

    step(n) = compute + exposed all_reduce + waiting for the slowest + vote, if that ends later
    all_reduce(bytes, n) = 2 (n-1)/n bytes / busbw(bytes, n)              nccl-tests, PERFORMANCE.md
    exposed = max(last bucket, sum over buckets - overlap x backward)
    waiting = spread x E[largest of n standard normals]                     order statistics

Generation shares nothing while it draws::

    time(n) = start + max(batches of the busiest x batch + waiting, storage) + tail
    batches of the busiest = ceil(ceil(images / batch size) / n)       one not full counts as full

Efficiency is the rate on n over n times the rate on one.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np

from bench.scaling_model.assume import Assumptions
from bench.scaling_model.hardware import (
    FEWER_RANKS,
    FOUR_NODES,
    GB,
    GPUS_PER_NODE,
    MIB,
    ONE_NODE,
    Curve,
)

AllReduce = Callable[[int, int], float]
"""From bytes and ranks to seconds."""

FIRST_BUCKET_BYTES = 1 * MIB
BUCKET_BYTES = 25 * MIB
"""DistributedDataParallel's, with find_unused_parameters as train/distributed.py sets it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """A step on one rank, and what ranks must tell each other after it."""

    batch_size: int
    """Images a rank."""
    compute_s: float
    """Forward, backward, optimiser and whatever else one rank does alone."""
    gradient_bytes: int
    num_tensors: int
    """Trained tensors: with find_unused_parameters each step also adds up an int32 of each."""
    spread_s: float
    """Standard deviation of ``compute_s`` from step to step."""
    host_s: float
    """Of ``compute_s``, when the host is free again: a GPU goes on working, a CPU does not."""
    votes: bool = True
    """Whether ranks vote each step whether to stop, as jobs.train does; the host waits for that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Where a step's time goes on ``num_ranks``."""

    num_ranks: int
    compute_s: float
    exposed_s: float
    vote_s: float
    waiting_s: float
    img_per_s: float

    @property
    def step_s(self) -> float:
        """Seconds a step."""
        return self.compute_s + self.exposed_s + self.vote_s + self.waiting_s

    @property
    def bound_by(self) -> str:
        """What takes the most."""
        parts = {
            "compute": self.compute_s,
            "all_reduce": self.exposed_s,
            "vote": self.vote_s,
            "slowest rank": self.waiting_s,
        }
        return max(parts, key=lambda name: parts[name])


@dataclass(frozen=True, slots=True, kw_only=True)
class Generating:
    """A batch on one rank, and what goes to the storage."""

    batch_size: int
    batch_s: float
    spread_s: float
    """Standard deviation of ``batch_s`` from batch to batch."""
    start_s: float
    """Before the first batch."""
    tail_s_per_image: float
    """What the main rank does alone at the end, an image of the run: table and contact sheet."""
    weight_bytes: int = 0
    """Read once a node at the start."""
    image_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A whole run of generation on ``num_ranks``."""

    num_ranks: int
    num_images: int
    busy_ranks: int
    """Ranks that have a batch at all."""
    start_s: float
    draw_s: float
    """Batches of the busiest rank, and waiting for the slowest."""
    storage_s: float
    """Writing at full speed; hidden behind drawing as far as that lasts."""
    tail_s: float

    @property
    def total_s(self) -> float:
        """Seconds from the start to the last file."""
        return self.start_s + max(self.draw_s, self.storage_s) + self.tail_s

    @property
    def img_per_s(self) -> float:
        """Images over the whole time."""
        return self.num_images / self.total_s

    @property
    def bound_by(self) -> str:
        """What takes the most."""
        parts = {
            "start": self.start_s,
            "drawing": self.draw_s,
            "storage": self.storage_s,
            "tail": self.tail_s,
        }
        name = max(parts, key=lambda name: parts[name])
        return "too few batches" if name == "drawing" and self.busy_ranks < self.num_ranks else name


@lru_cache(maxsize=256)
def expected_largest(count: int) -> float:
    """Return the mean of the largest of ``count`` independent standard normals.

    The integral of ``x`` over the density of the largest (David and Nagaraja, Order Statistics,
    3rd edition, section 2.2): 0 for one, 1/sqrt(pi) for two, 3.04 for 512.
    """
    if count < 1:
        raise ValueError(f"count: {count} is below 1")
    x = np.linspace(-8.0, 8.0, 4001)
    below = np.array([NormalDist().cdf(float(value)) for value in x])
    # E[X] is the area above the distribution right of 0 less the area below it left of 0.
    largest = below**count
    right = np.trapezoid((1 - largest)[2000:], x[2000:])
    return max(0.0, float(right - np.trapezoid(largest[:2001], x[:2001])))


def bus_bandwidth(curve: Curve, num_bytes: float) -> float:
    """Return GB/s at a payload: straight lines between points on log-log axes.

    Below the first point the *time* stays, for that is latency; above the last the bandwidth does.
    """
    sizes = list(curve.gb_per_s)
    rates = list(curve.gb_per_s.values())
    if num_bytes < sizes[0]:
        return rates[0] * num_bytes / sizes[0]
    return float(np.exp(np.interp(np.log(num_bytes), np.log(sizes), np.log(rates))))


def dgx_all_reduce(assumed: Assumptions) -> AllReduce:
    """Return the times of all_reduce on DGX B200 nodes filled one after another."""

    def seconds(num_bytes: int, num_ranks: int) -> float:
        if num_ranks == 1 or num_bytes == 0:
            return 0.0
        travels = 2 * (num_ranks - 1) / num_ranks * num_bytes
        if num_ranks <= GPUS_PER_NODE:
            share = FEWER_RANKS[num_ranks] / FEWER_RANKS[GPUS_PER_NODE]
            return travels / (GB * share * bus_bandwidth(ONE_NODE, num_bytes))
        rate = assumed.fabric_share * bus_bandwidth(FOUR_NODES, num_bytes)
        levels = max(0.0, math.log2(num_ranks / FOUR_NODES.num_ranks))
        return travels / (GB * rate) + 2 * levels * assumed.hop_s

    return seconds


def buckets(gradient_bytes: int) -> list[int]:
    """Return the payloads in which gradients are added up, in their order."""
    sizes = [min(gradient_bytes, FIRST_BUCKET_BYTES)]
    left = gradient_bytes - sizes[0]
    while left > 0:
        sizes.append(min(left, BUCKET_BYTES))
        left -= sizes[-1]
    return sizes


def train_step(
    case: Training, num_ranks: int, *, all_reduce: AllReduce, assumed: Assumptions
) -> Step:
    """Predict one optimiser step on ``num_ranks``."""
    times = [all_reduce(size, num_ranks) for size in buckets(case.gradient_bytes)]
    flags_s = all_reduce(4 * case.num_tensors, num_ranks)
    hidden_s = assumed.overlap * assumed.backward_share * case.compute_s
    exposed_s = max(times[-1], sum(times) - hidden_s) + flags_s
    waiting_s = case.spread_s * expected_largest(num_ranks)
    step_s = case.compute_s + exposed_s + waiting_s
    # gloo adds up in a ring: 2 (n-1) messages one after another, whatever their size.
    voted_s = case.host_s + 2 * (num_ranks - 1) * assumed.vote_hop_s
    vote_s = max(0.0, voted_s - step_s) if case.votes and num_ranks > 1 else 0.0
    step_s += vote_s
    return Step(
        num_ranks=num_ranks,
        compute_s=case.compute_s,
        exposed_s=exposed_s,
        vote_s=vote_s,
        waiting_s=waiting_s,
        img_per_s=num_ranks * case.batch_size / step_s,
    )


def generate_run(case: Generating, num_ranks: int, *, num_images: int, assumed: Assumptions) -> Run:
    """Predict a whole run of ``num_images`` on ``num_ranks``."""
    num_batches = math.ceil(num_images / case.batch_size)
    most = math.ceil(num_batches / num_ranks)
    busy = min(num_ranks, num_batches)
    # Sums of independent times spread with the root of their number.
    waiting_s = case.spread_s * math.sqrt(most) * expected_largest(busy)
    num_nodes = math.ceil(num_ranks / GPUS_PER_NODE)
    read_s = num_nodes * case.weight_bytes / (assumed.storage_gb_per_s * GB)
    write_s = num_images * max(
        case.image_bytes / (assumed.storage_gb_per_s * GB), 1 / assumed.creates_per_s
    )
    return Run(
        num_ranks=num_ranks,
        num_images=num_images,
        busy_ranks=busy,
        start_s=case.start_s + read_s,
        draw_s=most * case.batch_s + waiting_s,
        storage_s=write_s,
        tail_s=num_images * case.tail_s_per_image,
    )


def efficiencies(rates: Sequence[float], ranks: Sequence[int]) -> list[float]:
    """Return each rate over its ranks times the first one's rate, which is of one rank."""
    return [rate / (n * rates[0]) for rate, n in zip(rates, ranks, strict=True)]
