"""What a healthy node looks like, kind by kind, and where that is from. Standard library only."""

from dataclasses import dataclass, field

USER_GUIDE = "docs.nvidia.com/dgx/dgxb200-user-guide/introduction-to-dgxb200.html"
OPERATOR = "github.com/NVIDIA/cloud-native-docs/pull/184"
COMPATIBILITY = "docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html"
SMI_LOGS = "nvidia-smi of such nodes in public logs"

CUDA_DRIVER_FLOOR = {11: "450", 12: "525", 13: "580"}
"""CUDA major version of a build to the oldest driver that runs it: ``COMPATIBILITY``, table 1."""
MEMORY_TOLERANCE = 0.02
"""Share by which a GPU's memory may differ: drivers set aside a little more or less."""
FREE_LEAST_GIB = 1.0
"""Below it a run cannot keep one checkpoint."""
FREE_EASY_GIB = 20.0
"""Below it a long run may fill the disk."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeProfile:
    """One kind of node. None: there is nothing to expect, what is found is told."""

    name: str
    """As ``--profile`` takes it."""
    num_gpus: int | None = None
    """GPUs this process should see."""
    gpu_pattern: str = ""
    """Regular expression that every GPU's name matches."""
    memory_mib: int | None = None
    """MiB of one GPU as ``nvidia-smi`` shows them."""
    driver_floor: str | None = None
    """Oldest driver that knows this GPU."""
    power_limit_w: tuple[float, float] | None = None
    """Watts: the least that is usual, and what the GPU is specified at."""
    link: str | None = None
    """What ``nvidia-smi topo -m`` says between any two GPUs."""
    num_links: int | None = None
    """NVLinks of one GPU."""
    link_rate_gbs: float | None = None
    """Raw rate of one link as ``nvidia-smi nvlink -s`` shows it, GB/s."""
    arch: str | None = None
    """What torch must be built for."""
    mig: bool | None = False
    """Whether GPUs are cut by MIG; a batch job wants them whole."""
    num_nics: int | None = None
    """Ports between nodes, one a GPU."""
    nic_rate_gbps: float | None = None
    """Rate of one such port, Gb/s."""
    is_server: bool = False
    """Whether the CPU should be set up for steady work and Slurm should offer containers."""
    sources: dict[str, str] = field(default_factory=dict)
    """Where each figure is from."""


DGX_B200 = NodeProfile(
    name="dgx_b200",
    num_gpus=8,
    gpu_pattern=r"\bB200\b",
    memory_mib=183359,
    driver_floor="570.133.20",
    power_limit_w=(700.0, 1000.0),
    link="NV18",
    num_links=18,
    link_rate_gbs=53.125,
    arch="sm_100",
    num_nics=8,
    nic_rate_gbps=400.0,
    is_server=True,
    sources={
        "GPUs, links, ports": USER_GUIDE,
        "memory, NV18": SMI_LOGS,
        "driver": OPERATOR,
        "power limit": "docs.nvidia.com/dgx/dgxb200-user-guide/power-capping.html",
        "rate of a link": "nvidia-smi nvlink of B300 nodes, NVLink 5 as well, in public logs",
    },
)
HGX_H100 = NodeProfile(
    name="hgx_h100",
    num_gpus=8,
    gpu_pattern=r"\bH100 80GB HBM3\b",  # not the PCIe card, not NVL
    memory_mib=81559,
    driver_floor="525.60.13",
    power_limit_w=(700.0, 700.0),
    link="NV18",
    num_links=18,
    link_rate_gbs=26.562,
    arch="sm_90",
    num_nics=8,
    nic_rate_gbps=400.0,
    is_server=True,
    sources={
        "GPUs, links, memory, power limit": SMI_LOGS,
        "driver": COMPATIBILITY,
    },
)
CPU = NodeProfile(name="cpu", num_gpus=0, mig=None)
OTHER = NodeProfile(name="other", mig=None)
"""GPUs of which nothing is known here: what they say is told, and what is broken still shows."""
PROFILES = {profile.name: profile for profile in (DGX_B200, HGX_H100, CPU)}
