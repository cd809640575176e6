"""Root schemas: a library's config plus what only a job knows. Standard library only."""

import re
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import ClassVar

from bench.conf import BenchConfig
from eval.conf import EvaluateConfig
from eval.rubric.conf import MakeConfig, ScoreConfig
from pipeline.data.conf import PrepareConfig
from pipeline.generate.conf import GenerateConfig
from repro.conf import SmokeConfig
from train.conf import TrainConfig


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
FOLDER_NAME = re.compile(r"\w[\w.-]*")
"""What may name a folder below ``runs_dir`` and a run on W&B."""


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


@dataclass(kw_only=True)  # no slots: mixed into each root beside a class that has them
class JobConfig:
    """What every launched job has."""

    can_queue: ClassVar[bool] = False
    """Whether workers of a queue may share it."""

    cluster: ClusterConfig = field(default_factory=ClusterConfig)
    tracker: TrackerConfig = field(default_factory=TrackerConfig)
    telemetry: TelemetryConfig = field(default_factory=TelemetryConfig)
    name: str = "default"
    """Middle part of the run folder; an experiment sets it to its own name."""
    run_id: str | None = None
    """Run to go on with; none makes a new one."""
    runs_dir: str = "runs"
    """Folder of all runs."""
    wait: bool | None = None
    """Show progress until the end; none waits everywhere but on Slurm."""

    @property
    def inputs(self) -> dict[str, Path]:
        """Small files the job reads, by their key: copied into the run when it is frozen."""
        return {}

    def __post_init__(self) -> None:
        for key, name in (("name", self.name), ("run_id", self.run_id)):
            if name is not None and not FOLDER_NAME.fullmatch(name):
                raise ValueError(
                    f"{key}: {name!r} cannot name a folder; allowed: letters, digits, _-."
                )
        if self.cluster.where is Where.queue:
            self._check_queue()

    def _check_queue(self) -> None:
        if not self.can_queue:
            raise ValueError(
                "cluster.where: queue takes jobs.generate alone; allowed here: "
                f"{', '.join(where.value for where in Where if where is not Where.queue)}"
            )
        if self.wait:
            raise ValueError("wait: true, but a queue says nothing of when; python -m jobs.queue")
        self.cluster.check_one_task("a worker of the queue is one process, array= says how many")


@dataclass(kw_only=True)
class TrainJob(TrainConfig, JobConfig):
    """``jobs.train``."""

    def __post_init__(self) -> None:
        TrainConfig.__post_init__(self)
        JobConfig.__post_init__(self)


@dataclass(kw_only=True)
class PrepareJob(PrepareConfig, JobConfig):
    """``jobs.prepare``."""

    def __post_init__(self) -> None:
        PrepareConfig.__post_init__(self)
        JobConfig.__post_init__(self)


@dataclass(kw_only=True)
class GenerateJob(GenerateConfig, JobConfig):
    """``jobs.generate``."""

    can_queue: ClassVar[bool] = True
    array: int = 1
    """Jobs in a Slurm job array, or workers of the queue, that share the run, each with all of
    ``cluster``'s processes: they claim batches one by one, and take over those of one that dies or
    lags."""
    dry_run: bool = False
    """Show the work and what it costs; submit nothing."""

    @property
    def inputs(self) -> dict[str, Path]:
        """The file of prompts: whoever edits it while the job waits changes nothing."""
        return {} if self.prompts_file is None else {"prompts_file": self.prompts_file}

    def __post_init__(self) -> None:
        if self.array < 1:
            raise ValueError(f"array: {self.array} is below 1")
        GenerateConfig.__post_init__(self)
        JobConfig.__post_init__(self)


@dataclass(kw_only=True)
class BenchJob(BenchConfig, JobConfig):
    """``jobs.bench``."""

    baseline: bool = False
    """Whether to keep the result below ``baselines_dir`` too, as this hardware's."""
    baselines_dir: Path = Path("bench/baselines")
    """Where baselines lie, one file a bench and hardware."""

    def __post_init__(self) -> None:
        BenchConfig.__post_init__(self)
        JobConfig.__post_init__(self)
        self.cluster.check_one_task(
            "a bench starts ranks itself (num_ranks=[...]): give it all cores of one task"
        )


@dataclass(kw_only=True)
class SmokeJob(SmokeConfig, JobConfig):
    """``jobs.smoke``."""

    baselines_dir: Path = Path("bench/baselines")
    """Folder that takes the figures and the sheet of a run that passed, named by its hardware."""
    compare: Path | None = None
    """Earlier ``smoke.json`` or baseline: what changed since is told, and decides nothing."""

    @property
    def inputs(self) -> dict[str, Path]:
        """The earlier record: this run's baseline may take its place."""
        return {} if self.compare is None else {"compare": self.compare}

    def __post_init__(self) -> None:
        JobConfig.__post_init__(self)
        self.cluster.check_one_task("the smoke test is one process")


class Rubric(Enum):
    """What ``jobs.evaluate`` does about people's ratings."""

    none = "none"
    """Nothing: it measures."""
    make = "make"
    """Writes a page for raters."""
    score = "score"
    """Puts raters' files together."""


@dataclass(kw_only=True)
class EvaluateJob(EvaluateConfig, JobConfig):
    """``jobs.evaluate``."""

    rubric: Rubric = Rubric.none
    """Whether to measure, to make a page of ratings, or to put ratings together."""
    make: MakeConfig = field(default_factory=MakeConfig)
    score: ScoreConfig = field(default_factory=ScoreConfig)

    def __post_init__(self) -> None:
        EvaluateConfig.__post_init__(self)
        JobConfig.__post_init__(self)
        if self.rubric is Rubric.none and self.run is None:
            raise ValueError("run: none given; set run=RUN, or rubric=make or rubric=score")
        if self.rubric is Rubric.make and not self.make.runs:
            raise ValueError("make.runs: none given; set make.runs=[RUN, ...]")
        if self.rubric is Rubric.score and not self.score.ratings:
            raise ValueError("score.ratings: none given; set score.ratings=[FILE, ...]")
        self.cluster.check_one_task("evaluation is one process")
