"""The queue as Prometheus and KEDA see it."""

from collections.abc import Callable, Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from jobs.runtime.queue import read_queue
from pipeline.core.errors import InputError

NAMES = {
    "images": "Images of a queued run that are not there",
    "workers": "Workers that a queued run has",
    "wanted": "Workers that a queued run could use, those it has included",
    "given_up": "1 where a run failed so often that workers leave it alone",
}


class QueueCollector(Collector):
    """Reads the queue at every scrape.

    Args:
        runs_dir: Folder of all runs.
        images_per_worker: Images left for which one more worker is wanted.
    """

    def __init__(self, runs_dir: Path, *, images_per_worker: int) -> None:
        self.runs_dir = runs_dir
        self.images_per_worker = images_per_worker

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield each figure of every run that waits."""
        found = {
            name: GaugeMetricFamily(f"dgx_pixels_queue_{name}", about, labels=["run"])
            for name, about in NAMES.items()
        }
        for each in read_queue(self.runs_dir):
            left = each.num_left
            # What was given up wants nobody: workers that find nothing to do would come for ever.
            wanted = 0 if each.is_given_up else min(each.array, -(-left // self.images_per_worker))
            values = (left, each.num_workers, wanted, int(each.is_given_up))
            for metric, value in zip(found.values(), values, strict=True):
                metric.add_metric([each.name], value)
        yield from found.values()


def serve(
    collector: QueueCollector, address: str, port: int, *, tell: Callable[[str], None]
) -> None:
    """Answer scrapes until the process is ended.

    Args:
        collector: What is shown.
        address: To listen at.
        port: To listen on; 0 takes a free one.
        tell: Takes the URL once it answers.

    Raises:
        InputError: The folder cannot be read, or the port cannot be had.
    """
    # What is wrong with the folder is said now, not at every scrape.
    read_queue(collector.runs_dir)
    registry = CollectorRegistry()
    registry.register(collector)
    try:
        server, thread = start_http_server(port, address, registry)
    except (OSError, OverflowError) as error:
        raise InputError(f"--port: {address}:{port} cannot be had ({error})") from None
    tell(f"http://{address}:{server.server_port}/metrics")
    try:
        thread.join()
    finally:
        server.shutdown()
