"""What every launched job is told of where it runs and who watches. Standard library only."""

import re
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path


class Where(Enum):
    """What runs the job."""

    auto = "auto"
    """Slurm where it answers, else this machine."""
    inline = "inline"
    """This very process, one rank."""
    local = "local"
    """Processes on this machine."""
    slurm = "slurm"
    """``sbatch``."""
    queue = "queue"
    """Workers that somebody else starts: ``python -m jobs.queue work``."""


SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSWORD", re.IGNORECASE)
"""Names of variables whose values must not be frozen into a run folder."""


class WandbMode(Enum):
    """Whether and how runs are mirrored to W&B."""

    disabled = "disabled"
    offline = "offline"
    online = "online"


@dataclass(kw_only=True, slots=True)
class ClusterConfig:
    """Where and with what a job runs. Never changes a result."""

    where: Where = Where.auto
    """What runs the job."""
    num_nodes: int = 1
    """Nodes."""
    tasks_per_node: int = 1
    """Processes a node, one a GPU."""
    gpus_per_node: int = 0
    """GPUs a node; 0 trains on the CPU."""
    cpus_per_task: int = 0
    """Cores a process; 0 shares this machine's out evenly."""
    memory_gib: int = 0
    """GiB a node; 0 takes all of an exclusive node, else what Slurm gives by default."""
    timeout_min: int = 240
    """Minutes until the scheduler ends the job; it is requeued and goes on."""
    max_requeues: int = 20
    """Times a job may be timed out and requeued; processes on this machine: 5 at most."""
    signal_delay_s: int = 120
    """Seconds before the end at which USR2 asks the job to save and go."""
    exclusive: bool = False
    """Whether the job has its nodes to itself."""
    partition: str | None = None
    """Slurm partition; none takes the cluster's default."""
    account: str | None = None
    """Slurm account."""
    qos: str | None = None
    """Slurm quality of service."""
    gres: str | None = None
    """Generic resource a node instead of ``gpus_per_node``, such as ``gpu:1g.23gb:7`` for MIG."""
    constraint: str | None = None
    """Node features asked for."""
    container_image: str | None = None
    """Image for srun through pyxis; none runs on the host."""
    container_mounts: list[str] = field(default_factory=list)
    """``host:container`` pairs for pyxis."""
    container_python: str | None = None
    """Interpreter inside the image, such as ``/opt/venv/bin/python``; none: the path of the one
    that submits, which a container sees only where it is mounted."""
    setup: list[str] = field(default_factory=list)
    """Shell lines before srun, such as ``module load``."""
    env: dict[str, str] = field(default_factory=dict)
    """Environment of every rank, such as ``NCCL_NVLS_ENABLE``."""
    preflight: bool = True
    """Whether a job on Slurm looks at its nodes first, and ends where one is broken."""

    def __post_init__(self) -> None:
        for name, least in (
            ("num_nodes", 1),
            ("tasks_per_node", 1),
            ("gpus_per_node", 0),
            ("cpus_per_task", 0),
            ("timeout_min", 1),
            ("signal_delay_s", 1),
        ):
            if getattr(self, name) < least:
                raise ValueError(f"cluster.{name}: {getattr(self, name)} is below {least}")
        if self.signal_delay_s >= 60 * self.timeout_min:
            raise ValueError(
                f"cluster.signal_delay_s: {self.signal_delay_s} leaves nothing of timeout_min="
                f"{self.timeout_min} min; it must be shorter"
            )
        for name in self.env:
            if SECRET.search(name):
                raise ValueError(
                    f"cluster.env.{name}: looks like a secret, which a run folder must not keep; "
                    "export it before submitting: jobs inherit the environment"
                )

    def check_one_task(self, why: str) -> None:
        """Refuse, with a ``ValueError``, more than one process over all nodes."""
        if self.num_nodes * self.tasks_per_node > 1:
            raise ValueError(
                f"cluster.tasks_per_node: {self.tasks_per_node} on {self.num_nodes} nodes; {why}; "
                "give cluster.tasks_per_node=1 cluster.num_nodes=1"
            )


@dataclass(kw_only=True, slots=True)
class TrackerConfig:
    """Where figures go. ``metrics.jsonl`` is always written; W&B is a mirror."""

    wandb: WandbMode = WandbMode.disabled
    """Whether and how runs are mirrored."""
    project: str = "dgx-pixels"
    """W&B project."""
    entity: str | None = None
    """W&B entity; none takes the account's default."""
    tags: list[str] = field(default_factory=list)
    """W&B tags."""


@dataclass(kw_only=True, slots=True)
class TelemetryConfig:
    """What is measured beside a job, and what it costs. Never changes a result."""

    enabled: bool = True
    """Whether GPUs and processes are sampled, one sampler a node."""
    interval_s: float = 5.0
    """Seconds between samples, at least 0.1; energy is exact at any, peaks are not."""
    price_per_gpu_hour: float | None = None
    """What a GPU-hour costs; none leaves it out of the cost."""
    price_per_kwh: float | None = None
    """What a kWh costs, where it is not in the GPU-hour; none leaves it out of the cost."""
    currency: str = "EUR"
    """What the prices are in."""
    textfile_dir: Path | None = None
    """Folder of node_exporter's textfile collector, where the job shows Prometheus its figures;
    none shows nothing."""

    def __post_init__(self) -> None:
        if self.interval_s < 0.1:
            raise ValueError(f"telemetry.interval_s: {self.interval_s} is below 0.1")
        for name in ("price_per_gpu_hour", "price_per_kwh"):
            price = getattr(self, name)
            if price is not None and price < 0:
                raise ValueError(f"telemetry.{name}: {price} is below 0")


@dataclass(kw_only=True, slots=True)
class GoalConfig:
    """What a training is to reach; ``run.json`` says whether it did. Never changes a result."""

    metric: str = "validation_loss"
    """A figure of ``run.json``."""
    at_most: float | None = None
    """What the figure may be; none with no ``at_least`` either: there is no goal."""
    at_least: float | None = None
    """What the figure must be, where more is better."""
    hours: float | None = None
    """Hours that all attempts may take together, waiting not counted; none: as long as it takes."""
    num_gpus: int | None = None
    """GPUs it may have; none: any number; 0: the CPU alone."""

    def __post_init__(self) -> None:
        if self.at_most is not None and self.at_least is not None:
            raise ValueError("goal: at_most and at_least are both set; give one")
        if not self.is_stated and (self.hours is not None or self.num_gpus is not None):
            raise ValueError("goal: hours or num_gpus without at_most or at_least; give one")
        if self.hours is not None and self.hours <= 0:
            raise ValueError(f"goal.hours: {self.hours} is not above 0")
        if self.num_gpus is not None and self.num_gpus < 0:
            raise ValueError(f"goal.num_gpus: {self.num_gpus} is below 0")

    @property
    def is_stated(self) -> bool:
        """Whether there is one."""
        return self.at_most is not None or self.at_least is not None
