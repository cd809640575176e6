"""Putting images in place, off the path of the model: finish, encode, write, then record.

images/000000123.png      appears whole; then its record appears in the manifest
manifest-<writer>.jsonl   one record an image this process put in place
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any

from torch import Tensor

from pipeline.core.files import fsync_dir, sha256_bytes, write_atomic
from pipeline.core.manifest import ManifestWriter
from pipeline.core.rundir import RunDir
from pipeline.generate.draw import to_host
from pipeline.generate.gates import looks_of
from pipeline.generate.ledger import image_name
from pipeline.generate.png import Pixels, encode, pixels_digest
from pipeline.generate.work import Batch, Item

Finish = Callable[[Pixels], list[tuple[Pixels, dict[str, Any]]]]
"""From a batch (B, H, W, C) to each image's final pixels and what finishing has to say of it."""
Describe = Callable[[Item], dict[str, Any]]
"""From an item to all that made it."""

QUEUE = 2
"""Batches that may wait to be written while the model goes on; bounds memory."""


class ImageStore:
    """Takes drawn batches and puts what was asked for in place, in a thread of its own."""

    def __init__(
        self,
        run_dir: RunDir,
        *,
        writer: int,
        describe: Describe,
        finish: Finish,
        num_threads: int,
    ) -> None:
        """Open this process's manifest.

        Args:
            run_dir: The run.
            writer: Number of this process among all that write to the run.
            describe: What made an item.
            finish: From the model's pixels to final ones.
            num_threads: Images that are encoded at a time.
        """
        self.run_dir = run_dir
        self.num_written = 0
        self._describe, self._finish = describe, finish
        run_dir.images.mkdir(parents=True, exist_ok=True)
        self._manifest = ManifestWriter(run_dir.manifest(writer))
        self._line = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._encoders = ThreadPoolExecutor(max(1, num_threads), thread_name_prefix="encode")
        self._waiting: list[Future[None]] = []

    def __enter__(self) -> "ImageStore":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self.flush()
        finally:
            self._line.shutdown(cancel_futures=True)
            self._encoders.shutdown()
            self._manifest.close()

    def put(
        self, batch: Batch, items: Sequence[Item], pixels: Tensor, *, wanted: Sequence[int]
    ) -> None:
        """Hand over a drawn batch; returns at once while fewer than ``QUEUE`` wait.

        Args:
            batch: What was drawn.
            items: Its items, in order.
            pixels: Bytes (B, H, W, C), on any device.
            wanted: Indices of those that are to be put in place: the others are there already.

        Raises:
            OSError: An earlier batch could not be written.
        """
        host, event = to_host(pixels)

        def work() -> None:
            if event is not None:
                event.synchronize()
            self._place(batch, items, host.numpy(), set(wanted))

        while len(self._waiting) >= QUEUE:
            self._waiting.pop(0).result()
        self._waiting.append(self._line.submit(work))

    def flush(self) -> None:
        """Wait until all that was handed over is in place.

        Raises:
            OSError: Something could not be written.
        """
        while self._waiting:
            self._waiting.pop(0).result()

    def _place(self, batch: Batch, items: Sequence[Item], pixels: Pixels, wanted: set[int]) -> None:
        finished = self._finish(pixels)

        def one(row: int) -> dict[str, Any]:
            image, said = finished[row]
            return self._write(items[row], image, said, batch=batch, row=row, rows=len(items))

        rows = [row for row, item in enumerate(items) if item.index in wanted]
        records = list(self._encoders.map(one, rows))
        # Names last longer than a power cut before the records say that they are there.
        fsync_dir(self.run_dir.images)
        self._manifest.extend(records)
        self.num_written += len(records)

    def _write(
        self, item: Item, image: Pixels, said: dict[str, Any], *, batch: Batch, row: int, rows: int
    ) -> dict[str, Any]:
        height, width = image.shape[:2]
        own = {
            "index": item.index,
            "attempt": batch.attempt,
            "batch_row": row,
            "batch_rows": rows,
            "width_px": width,
            "height_px": height,
            "pixels_sha256": pixels_digest(image),
            "finish": said,
        }
        told = self._describe(item) | own
        data = encode(image, told)
        name = image_name(item.index)
        write_atomic(self.run_dir.images / name, data)
        looks = looks_of(image)
        kept = ("prompt", "negative", "seed", "seed_number", "noise_index", "variant", "size_px")
        return (
            {key: told[key] for key in kept}
            | own
            | {
                "file": name,
                "sha256": sha256_bytes(data),
                "num_bytes": len(data),
                "hash": f"{looks.hash:064x}",
                "coverage": round(looks.coverage, 4),
                "passes": said["verdict"]["passes"],
            }
        )
