"""Published figures of the DGX B200 and its networks, each with its source. None measured by us."""

from dataclasses import dataclass

MIB = 2**20
GIB = 2**30
GB = 1e9

STAS = "stas00/ml-engineering"
"""A book with its measurements: AWS p6-b200 nodes, 8 B200 and 8 x 50 GB/s EFA each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number, and who says so."""

    value: float
    unit: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Bus bandwidth of all_reduce against its payload."""

    num_ranks: int
    """Ranks it was measured with."""
    gb_per_s: dict[int, float]
    """Bus bandwidth by payload in bytes, ascending; GB is 10^9, as nccl-tests has it."""
    source: str


BF16_REACHED = Figure(
    value=1745.0,
    unit="TFLOPS",
    source=f"{STAS} compute/accelerator: best bf16 matmul on a B200, 77.6 % of 2250 dense",
)
HBM = Figure(value=8000.0, unit="GB/s", source="DGX B200 datasheet, cited by " + STAS)
GPUS_PER_NODE = 8

SDXL_SHARE = Figure(
    value=0.325,
    unit="of the fastest matmul",
    source=(
        "MLPerf Inference v5.1, entry 5.1-0069: SDXL 31.78 images/s on 8 B200, FP8, 20 steps with "
        "guidance: 1116 TFLOPS a GPU by our count of SDXL, of 3432 that a matmul reaches ("
        + STAS
        + "). Taken for bf16 too: nobody published that"
    ),
)
LAUNCH = Figure(
    value=3.8e-6,
    unit="s a kernel",
    source="developer.nvidia.com/blog/cuda-graphs: launches back to back, V100; a lower bound",
)

ONE_NODE = Curve(
    num_ranks=8,
    gb_per_s={
        1 * MIB: 36.0,
        16 * MIB: 255.0,
        64 * MIB: 401.0,
        128 * MIB: 568.0,
        512 * MIB: 689.0,
        1 * GIB: 723.0,
        4 * GIB: 741.0,
        8 * GIB: 839.0,
    },
    source=f"{STAS} network/benchmarks: 8 B200 of one node, NCCL 2.27.7, NVLS on",
)
FEWER_RANKS = {1: 673.0, 2: 673.0, 3: 673.0, 4: 673.0, 5: 678.0, 6: 778.0, 7: 811.0, 8: 838.0}
"""GB/s at 8 GiB by B200s of one node (as ``ONE_NODE``; published from 4 up, below as 4)."""
FOUR_NODES = Curve(
    num_ranks=32,
    gb_per_s={
        32 * 2**10: 0.65,
        256 * 2**10: 4.06,
        1 * MIB: 12.47,
        4 * MIB: 31.63,
        8 * MIB: 50.61,
        16 * MIB: 71.80,
        32 * MIB: 142.90,
        64 * MIB: 197.77,
        128 * MIB: 260.50,
        256 * MIB: 283.23,
        512 * MIB: 309.91,
        1 * GIB: 365.99,
        4 * GIB: 374.66,
        16 * GIB: 376.71,
    },
    source=f"{STAS} network/benchmarks: 4 nodes of 8 B200, 50 GB/s a GPU between nodes",
)
NET_HOP = Figure(
    value=14e-6,
    unit="s a level",
    source="NCCL src/graph/tuning.cc, hwLat of NET, NVLSTree, Simple; 2 log2(nodes) of them",
)

STORAGE = Figure(
    value=8.0, unit="GB/s", source="this project's design card (RFD): shared storage; both ways"
)
CREATES = Figure(
    value=29000.0,
    unit="files/s",
    source="Dell, HPC Lustre Storage with InfiniBand EDR, figure 12: mdtest creates, 240 threads",
)
