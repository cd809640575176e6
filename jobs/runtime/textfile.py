"""What a running job tells Prometheus: a text file that node_exporter shows.

``dgx_pixels_<kind>_<name>_<run>.prom`` in ``telemetry.textfile_dir``, written by the main rank as
rows of figures come, ``EVERY_S`` apart at least, and once more at the end. Trouble with it is told
in the log and never ends a job.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    write_to_textfile,
)

from jobs.runtime.naming import Made
from pipeline.core.rundir import RunDir

log = logging.getLogger(__name__)

EVERY_S = 5.0
KEEP_S = 86400.0
"""How long files of jobs that are gone stay; the next job on the node removes them."""
LABELS = ("run", "kind")
BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""From a tiny model on a GPU to SDXL on a CPU."""
RATE = "speed/img_per_s"
GAUGES = {
    RATE: ("images_per_second", "Images a second, of the whole run"),
    "speed/images_waiting": ("images_waiting", "Images asked for and not made"),
    "train/loss": ("loss", "Loss of the last row of figures"),
    "validation/loss": ("validation_loss", "Loss on held-out images"),
}
"""Figures of a row that are shown: their name here, and what they are."""
IMAGE_TIME, CHECKPOINT_TIME = "image_time_s", "checkpoint_time_s"


class TextfileTracker:
    """One run's text file.

    Args:
        folder: The collector's. Not made here: a folder nobody reads is of no use.
        run_dir: Whose figures.
        num_restarts: Attempts before this one.
    """

    def __init__(self, folder: Path, run_dir: RunDir, *, num_restarts: int) -> None:
        kind, name, run = run_dir.path.parts[-3:]
        self.path = folder / f"dgx_pixels_{kind}_{name}_{run}.prom"
        self._labels = (f"{name}/{run}", kind)
        self._registry = CollectorRegistry()
        self._gauges: dict[str, Gauge] = {}
        self._position = 0
        self._written_s = 0.0
        self._works = True
        disable_created_metrics()
        self._images: Counter | None = None
        """From the first row on. A generation counts the run's images, also after a restart; a
        training, which goes back to its checkpoint, those of this attempt."""
        self._checkpoints = self._counter("checkpoints", "Checkpoints written")
        self._counter("restarts", "Attempts before this one").inc(num_restarts)
        self._image_time: Histogram | None = None
        """From the first image on: a job that makes none has no such series."""
        self._progress = self._gauge("progress_timestamp_seconds", "When figures last came")
        self._running = self._gauge("running", "1 while the job runs, 0 from its end")
        self._failed = self._gauge("failed", "1 where it ended with an error")
        self._progress.set_to_current_time()
        self._running.set(1)
        _sweep(folder)
        self._write()

    def log(self, num_images: int, metrics: Mapping[str, float]) -> None:
        """Take over a row's figures."""
        self._images = self._images or self._counter("images", "Images made or trained on")
        self._images.inc(max(0, num_images - self._position))
        self._position = num_images
        for key, value in metrics.items():
            if key in GAUGES:
                if key not in self._gauges:
                    self._gauges[key] = self._gauge(*GAUGES[key])
                self._gauges[key].set(value)
        self._progress.set_to_current_time()
        self._write_at_times()

    def log_image(self, num_images: int, name: str, path: Path) -> None:
        """Do nothing: a picture is no figure."""

    def observe(self, name: str, value: float, *, count: int = 1) -> None:
        """Count images by the time they took, and checkpoints."""
        if name == CHECKPOINT_TIME:
            self._checkpoints.inc(count)
        if name == IMAGE_TIME:
            self._image_time = self._image_time or self._histogram()
            for _ in range(count):
                self._image_time.observe(value)
        self._progress.set_to_current_time()
        self._write_at_times()

    def rewind(self, num_images: int) -> None:
        """Count on from where the run resumes: what was made before is not made again."""
        self._position = num_images

    def finish(
        self, _artifacts: Sequence[Made], *, figures: Mapping[str, Any], succeeded: bool
    ) -> None:
        """Say that the job is over, and that it makes nothing any more."""
        if RATE in self._gauges:
            self._gauges[RATE].set(0)
        self._running.set(0)
        self._failed.set(0 if succeeded else 1)
        self._write()

    def _counter(self, name: str, about: str) -> Counter:
        metric = Counter(f"dgx_pixels_{name}", about, LABELS, registry=self._registry)
        return metric.labels(*self._labels)

    def _gauge(self, name: str, about: str) -> Gauge:
        metric = Gauge(f"dgx_pixels_{name}", about, LABELS, registry=self._registry)
        return metric.labels(*self._labels)

    def _histogram(self) -> Histogram:
        metric = Histogram(
            "dgx_pixels_image_seconds",
            "An image's share of its batch, main rank",
            LABELS,
            registry=self._registry,
            buckets=BOUNDS_S,
        )
        return metric.labels(*self._labels)

    def _write_at_times(self) -> None:
        if time.monotonic() - self._written_s >= EVERY_S:
            self._write()

    def _write(self) -> None:
        self._written_s = time.monotonic()
        if self._works:
            self._works = write_metrics(self.path, self._registry)


def write_nccl(folder: Path, bus_gb_per_s: Mapping[str, float]) -> None:
    """Write the bus bandwidths of a sweep; the next one on the node writes over them.

    Args:
        folder: The collector's.
        bus_gb_per_s: By operation.
    """
    registry = CollectorRegistry()
    metric = Gauge(
        "dgx_pixels_nccl_bus_bytes_per_second",
        "Bus bandwidth of the last sweep, largest message",
        ("collective",),
        registry=registry,
    )
    for operation, gb_per_s in bus_gb_per_s.items():
        metric.labels(operation).set(gb_per_s * 1e9)
    write_metrics(folder / "dgx_pixels_nccl.prom", registry)


def write_metrics(path: Path, registry: CollectorRegistry) -> bool:
    """Write a text file whole; False, and a line in the log, where it cannot be written."""
    try:
        write_to_textfile(str(path), registry)
    except OSError as error:
        log.warning("telemetry.textfile_dir: %s: %s", path.parent, error.strerror)
        return False
    return True


def _sweep(folder: Path) -> None:
    """Remove what jobs left here long ago: a job that was killed cannot do it itself."""
    for path in folder.glob("dgx_pixels_*_*.prom"):
        try:
            if time.time() - path.stat().st_mtime > KEEP_S:
                path.unlink()
        except OSError:
            # Another user's, or gone meanwhile: no matter of this job.
            log.debug("telemetry.textfile_dir: %s stays", path)
