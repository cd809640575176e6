"""Root schemas: a library's config plus what only a job knows. Standard library only."""

import re
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import ClassVar

from bench.conf import BenchConfig
from eval.conf import EvaluateConfig
from eval.rubric.conf import MakeConfig, ScoreConfig
from jobs.runtime.conf import ClusterConfig, GoalConfig, TelemetryConfig, TrackerConfig, Where
from pipeline.data.conf import PrepareConfig
from pipeline.generate.conf import GenerateConfig
from repro.conf import SmokeConfig
from train.conf import TrainConfig

FOLDER_NAME = re.compile(r"\w[\w.-]*")
"""What may name a folder below ``runs_dir`` and a run on W&B."""


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

    goal: GoalConfig = field(default_factory=GoalConfig)

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

    can_queue = True

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
