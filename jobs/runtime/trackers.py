"""Where figures go: ``metrics.jsonl`` always, W&B as a mirror, a text file for Prometheus."""

import json
import logging
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from jobs.runtime.conf import TrackerConfig, WandbMode
from jobs.runtime.naming import Made, naming, used_by
from pipeline.core.files import read_json, write_atomic, write_json
from pipeline.core.metrics import NullTracker, Tracker
from pipeline.core.rundir import RunDir
from pipeline.core.table import Cell, Table

log = logging.getLogger(__name__)

FINISH_S = 600.0
"""Seconds an upload of what a finished run made may take."""
QUICK_FINISH_S = 20.0
"""Seconds to end without one."""
USES = "uses.json"
"""In ``wandb/``: what an offline run uses, told to the server once the run is there."""
FLUSH_S = 1.0
"""Seconds between flushes of W&B's file; its own default of 15 loses a killed run's last rows."""


class JsonlTracker:
    """One JSON object a line, in the order of positions."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def log(self, num_images: int, metrics: Mapping[str, float]) -> None:
        """Append a row."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"num_images": num_images, **metrics}) + "\n")

    def log_image(self, num_images: int, name: str, path: Path) -> None:
        """Do nothing: the picture stands on disk already."""

    def observe(self, name: str, value: float, *, count: int = 1) -> None:
        """Do nothing: rows are figures of many images."""

    def rewind(self, num_images: int) -> None:
        """Drop rows after ``num_images``, and a torn last line."""
        if not self.path.exists():
            return
        kept = [line for line in _whole_lines(self.path) if _position(line) <= num_images]
        write_atomic(self.path, "".join(line + "\n" for line in kept).encode())


class WandbTracker:
    """A mirror on W&B under the run's own id, so that a requeued job goes on with its run.

    Offline, each attempt is a file of its own under that id. W&B may be down: trouble with it is
    told in the log and never ends a job.
    """

    def __init__(self, cfg: TrackerConfig, run_dir: RunDir, config: Mapping[str, Any]) -> None:
        import wandb

        self.run_dir = run_dir
        self.has_files = False
        """Whether something was handed over that takes time to upload."""
        folder = run_dir.path / "wandb"
        folder.mkdir(parents=True, exist_ok=True)
        named = naming(run_dir, config, cfg.tags)
        self.run = wandb.init(
            project=cfg.project,
            entity=cfg.entity,
            id=named.id,
            name=named.name,
            group=named.group,
            job_type=named.job_type,
            tags=named.tags,
            dir=str(run_dir.path),
            mode=cfg.wandb.value,
            config=dict(config),
            resume="allow" if cfg.wandb is WandbMode.online else None,
            settings=wandb.Settings(
                x_transaction_log_flush_interval=FLUSH_S, console="off", silent=True
            ),
        )
        self.run.define_metric("num_images")
        self.run.define_metric("*", step_metric="num_images")
        with told_not_raised():
            self._use(cfg, folder / USES, used_by(run_dir, config))

    def _use(self, cfg: TrackerConfig, note: Path, uses: Sequence[str]) -> None:
        """Tell what the run uses; offline, where nothing can be looked up, note it for later."""
        if cfg.wandb is WandbMode.online:
            for each in uses:
                with told_not_raised():
                    self.run.use_artifact(each)
        elif uses:
            told = {"entity": cfg.entity, "project": cfg.project, "run": self.run.id}
            write_json(note, {**told, "uses": list(uses)})

    def log(self, num_images: int, metrics: Mapping[str, float]) -> None:
        """Log a row against ``num_images``."""
        with told_not_raised():
            self.run.log({"num_images": num_images, **metrics})

    def log_image(self, num_images: int, name: str, path: Path) -> None:
        """Log a picture."""
        import wandb

        with told_not_raised():
            self.run.log({"num_images": num_images, name: wandb.Image(str(path))})

    def log_table(self, num_images: int, name: str, table: Table) -> None:
        """Log a table, and what of it is a bar chart."""
        import wandb

        with told_not_raised():
            # A column may have no value in any row, or a float where others have a whole number.
            shown = wandb.Table(list(table.columns), allow_mixed_types=True)
            for row in table.rows:
                shown.add_data(*(_cell(value) for value in row))
            self.run.log({"num_images": num_images, name: shown})
            if table.bars:
                label, height = table.bars
                chart = wandb.plot.bar(shown, label, height, title=name)
                self.run.log({"num_images": num_images, f"{name}/bars": chart})

    def log_files(self, kind: str, files: Iterable[Path]) -> None:
        """Upload files as one artifact of type ``kind``."""
        self._upload(Made(kind=kind, name=f"{kind}-{self.run.id}", files=tuple(files)))

    def _upload(self, made: Made) -> None:
        import wandb

        with told_not_raised():
            artifact = wandb.Artifact(made.name, type=made.kind)
            for path in made.files:
                if path.is_file():
                    artifact.add_file(str(path))
            self.run.log_artifact(artifact, aliases=["latest", *made.aliases])
            self.has_files = True

    def observe(self, name: str, value: float, *, count: int = 1) -> None:
        """Do nothing: rows are figures of many images."""

    def rewind(self, num_images: int) -> None:
        """Do nothing: W&B keeps what it was told; ``num_images`` tells which row is later."""

    def finish(
        self, artifacts: Sequence[Made], *, figures: Mapping[str, Any], succeeded: bool
    ) -> None:
        """Put the figures into the run's summary, upload what it made, end the run.

        In a thread, and not for ever: a job that is to be requeued must not wait for a service.
        """
        limit_s = FINISH_S if (figures and artifacts) or self.has_files else QUICK_FINISH_S
        thread = threading.Thread(
            target=self._finish, args=(artifacts, figures, succeeded), daemon=True
        )
        thread.start()
        thread.join(limit_s)
        if thread.is_alive():
            log.warning("W&B: not done after %.0f s; left behind", limit_s)

    def _finish(
        self, artifacts: Sequence[Made], figures: Mapping[str, Any], succeeded: bool
    ) -> None:
        with told_not_raised():
            self.run.summary.update(dict(figures) | _spent(self.run_dir))
            for made in artifacts:
                self._upload(made)
            self.run.finish(exit_code=0 if succeeded else 1)


@runtime_checkable
class HasEnd(Protocol):
    """A tracker that is told when the job is over."""

    def finish(
        self, artifacts: Sequence[Made], *, figures: Mapping[str, Any], succeeded: bool
    ) -> None:
        """End it."""


class Trackers:
    """Tells every tracker."""

    def __init__(self, *trackers: Tracker) -> None:
        self.trackers = trackers

    def log(self, num_images: int, metrics: Mapping[str, float]) -> None:
        """Record figures."""
        for tracker in self.trackers:
            tracker.log(num_images, metrics)

    def log_image(self, num_images: int, name: str, path: Path) -> None:
        """Record a picture."""
        for tracker in self.trackers:
            tracker.log_image(num_images, name, path)

    def observe(self, name: str, value: float, *, count: int = 1) -> None:
        """Add a value to a distribution."""
        for tracker in self.trackers:
            tracker.observe(name, value, count=count)

    def log_table(self, num_images: int, name: str, table: Table) -> None:
        """Record a table where tables are shown; on disk it stands in the job's own record."""
        for mirror in self._mirrors:
            mirror.log_table(num_images, name, table)

    def log_files(self, kind: str, files: Iterable[Path]) -> None:
        """Hand over files of one kind, where files are kept beside figures."""
        for mirror in self._mirrors:
            mirror.log_files(kind, files)

    def rewind(self, num_images: int) -> None:
        """Drop what comes after ``num_images``."""
        for tracker in self.trackers:
            tracker.rewind(num_images)

    def finish(
        self, artifacts: Sequence[Made], *, figures: Mapping[str, Any], succeeded: bool
    ) -> None:
        """End those that have an end."""
        for each in self.trackers:
            if isinstance(each, HasEnd):
                each.finish(artifacts, figures=figures, succeeded=succeeded)

    @property
    def _mirrors(self) -> list[WandbTracker]:
        return [each for each in self.trackers if isinstance(each, WandbTracker)]


def build_trackers(
    cfg: TrackerConfig,
    run_dir: RunDir,
    *,
    config: Mapping[str, Any],
    is_main: bool,
    textfile_dir: Path | None = None,
    num_restarts: int = 0,
) -> Trackers:
    """Build the main rank's trackers; the others' record nothing.

    Args:
        cfg: Whether there is a mirror on W&B.
        run_dir: Whose figures.
        config: The run's settings, for the mirror.
        is_main: Whether this process writes for all.
        textfile_dir: Folder of node_exporter's textfile collector; None: there is none.
        num_restarts: Attempts before this one.
    """
    if not is_main:
        return Trackers(NullTracker())
    trackers: list[Tracker] = [JsonlTracker(run_dir.metrics)]
    if textfile_dir is not None:
        from jobs.runtime.textfile import TextfileTracker

        trackers.append(TextfileTracker(textfile_dir, run_dir, num_restarts=num_restarts))
    if cfg.wandb is not WandbMode.disabled:
        with told_not_raised():
            trackers.append(WandbTracker(cfg, run_dir, config))
    return Trackers(*trackers)


@contextmanager
def told_not_raised() -> Iterator[None]:
    """Write what goes wrong with the mirror into the log; the record is ``metrics.jsonl``."""
    try:
        yield
    except Exception as error:  # whatever a client of a service may raise
        log.warning("W&B: %s: %s", type(error).__name__, error)


def _spent(run_dir: RunDir) -> dict[str, float]:
    """Return the run's GPU-hours of all attempts; nothing where they are not known."""
    if not run_dir.run_json.is_file():
        return {}
    hours = read_json(run_dir.run_json).get("gpu_hours")
    return {} if hours is None else {"gpu_hours": float(hours)}


def _cell(value: Cell) -> Any:
    import wandb
    from PIL import Image

    return wandb.Image(Image.open(BytesIO(value))) if isinstance(value, bytes) else value


def _whole_lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split("\n")[:-1]


def _position(line: str) -> int:
    return int(json.loads(line)["num_images"])
