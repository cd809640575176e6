"""What bus bandwidth to expect, from published measurements, each with its source.

None was measured by us. Bands and gates are derived: a figure is warned of below 95 % of the lower
published one and fails below 89 %; for all_reduce on 8 x B200 that is 796 and 746 GB/s of 838.
"""

from dataclasses import dataclass

from bench.nccl.sweep import GIB, MIB

JUDGED_FROM_BYTES = 8 * GIB
"""Smaller messages do not fill the links: 128 MiB shows 568 of 839 GB/s on 8 x B200."""
WARN_SHARE = 0.95
FAIL_SHARE = 0.89
B200, H200, H100 = "B200", "H200", "H100"
BY_SIZE = "stas00/ml-engineering network/README.md, AWS p6-b200, NCCL 2.27.7"
BY_OPERATION = (
    "stas00/ml-engineering network/benchmarks/README.md, torch 2.14, NCCL 2.30.7, default NVLS"
)
NVIDIA_480 = "NVIDIA dgxc-benchmarking nccl/README.md; nccl-tests issues 212 and 290"
NVIDIA_370 = "NVIDIA in nccl-tests issue 212: what rings and other operations reach"
H200_BOTH = "stas00/ml-engineering network/README.md, 8 x H200"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """A published bus bandwidth."""

    gpu: str
    """A word of the GPU's name."""
    operation: str
    num_ranks: int
    size_bytes: int
    """From this size up, to the next published one."""
    low: float
    """GB/s of 10^9 bytes."""
    high: float
    """The same, or another measurement's."""
    source: str
    num_nodes: int = 1
    nvls: bool | None = None
    """None: the same with and without."""

    @property
    def is_gate(self) -> bool:
        """Whether to judge by it: over nodes the network decides, and that was another one."""
        return self.num_nodes == 1 and self.size_bytes >= JUDGED_FROM_BYTES

    @property
    def warn_below(self) -> float:
        """GB/s."""
        return self.low * WARN_SHARE

    @property
    def fail_below(self) -> float:
        """GB/s."""
        return self.low * FAIL_SHARE


ALL_REDUCE_BY_SIZE = {
    MIB: (36, 36),
    16 * MIB: (255, 255),
    64 * MIB: (401, 401),
    128 * MIB: (568, 568),
    512 * MIB: (689, 689),
    GIB: (723, 723),
    4 * GIB: (741, 741),
    8 * GIB: (838, 846),
}
"""Bytes to GB/s on 8 x B200 with NVLS; the last pair's higher one was measured at 16 GiB."""
B200_AT_16_GIB = {
    "all_gather": 668.28,
    "reduce_scatter": 692.63,
    "alltoall": 659.71,
    "broadcast": 672.71,
    "sendrecv": 658.84,
}
OTHERS_AT_8_GIB = (
    (B200, "all_reduce", False, 682, 682, BY_SIZE),
    (H100, "all_reduce", True, 476, 480, NVIDIA_480),
    (H100, "all_reduce", False, 370, 370, NVIDIA_370),
    (H100, "all_gather", None, 370, 370, NVIDIA_370),
    (H100, "reduce_scatter", None, 370, 370, NVIDIA_370),
    (H100, "broadcast", None, 370, 370, NVIDIA_370),
    (H200, "all_reduce", True, 482.3, 482.3, H200_BOTH),
    (H200, "all_reduce", False, 367.6, 367.6, H200_BOTH),
    (H200, "all_gather", None, 361, 361, H200_BOTH),
    (H200, "reduce_scatter", None, 363, 363, H200_BOTH),
)
"""By 8 GPUs of one node: GPU, operation, NVLS, the two figures, source."""

PUBLISHED = (
    *(
        Expectation(
            gpu=B200,
            operation="all_reduce",
            num_ranks=8,
            size_bytes=size_bytes,
            low=low,
            high=high,
            source=BY_SIZE,
            nvls=True,
        )
        for size_bytes, (low, high) in ALL_REDUCE_BY_SIZE.items()
    ),
    *(
        Expectation(
            gpu=B200,
            operation=operation,
            num_ranks=8,
            size_bytes=16 * GIB,
            low=low,
            high=low,
            source=BY_OPERATION,
            nvls=True,
        )
        for operation, low in B200_AT_16_GIB.items()
    ),
    *(
        Expectation(
            gpu=gpu,
            operation=operation,
            num_ranks=8,
            size_bytes=8 * GIB,
            low=low,
            high=high,
            source=source,
            nvls=nvls,
        )
        for gpu, operation, nvls, low, high, source in OTHERS_AT_8_GIB
    ),
    # Four GPUs take rings with NVLS allowed too: it starts at six.
    Expectation(
        gpu=B200,
        operation="all_reduce",
        num_ranks=4,
        size_bytes=8 * GIB,
        low=673,
        high=673,
        source=BY_SIZE,
    ),
    Expectation(
        gpu=B200,
        operation="all_reduce",
        num_ranks=32,
        num_nodes=4,
        size_bytes=16 * GIB,
        low=381.8,
        high=381.8,
        source=f"{BY_SIZE}, EFA of 50 GB/s a GPU",
        nvls=True,
    ),
)


def is_switched(name: str | None, gpu: str) -> bool:
    """Whether a driver's name is that GPU behind NVSwitch: not PCIe, not a bridged pair (NVL)."""
    words = (name or "").split()
    return gpu in words and not {"PCIe", "NVL"} & set(words)


def published(
    gpu: str | None, operation: str, *, num_ranks: int, num_nodes: int, nvls: bool | None
) -> list[Expectation]:
    """Return what is published of a setup, by growing size.

    Args:
        gpu: The GPU's name as the driver tells it.
        operation: As in ``OPERATIONS``.
        num_ranks: GPUs.
        num_nodes: Nodes they are on.
        nvls: NVLink SHARP allowed; None is NCCL's default, which allows it.
    """
    found = [
        each
        for each in PUBLISHED
        if is_switched(gpu, each.gpu)
        and (each.operation, each.num_ranks, each.num_nodes) == (operation, num_ranks, num_nodes)
        and each.nvls in (None, nvls is not False)
    ]
    return sorted(found, key=lambda each: each.size_bytes)


def expected(
    gpu: str | None,
    operation: str,
    *,
    num_ranks: int,
    num_nodes: int,
    nvls: bool | None,
    size_bytes: int,
) -> Expectation | None:
    """Return what is published for the nearest size that is not larger; None: nothing is.

    Bandwidth grows with size, so that of a smaller one is what must be reached at least.
    """
    found = published(gpu, operation, num_ranks=num_ranks, num_nodes=num_nodes, nvls=nvls)
    return next((each for each in reversed(found) if each.size_bytes <= size_bytes), None)
