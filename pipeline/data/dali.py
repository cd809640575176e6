"""The DALI pipelines, one definition for CPU and GPU: decode, alpha; flip, background, enlarge.

Two halves. *Ready* pixels depend on the file alone, so a data set that fits in memory goes through
that half once. What depends on the position in the stream comes after. A data set that does not fit
goes through both halves in one pipeline.

Shape legend: H W height width, C channels: 4 premultiplied RGBA in [-1, 1] where alpha is kept,
otherwise 4 of straight RGBA in 0 to 255 until the background is known, then 3.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from nvidia.dali import fn, types
from nvidia.dali.pipeline import Pipeline

from pipeline.data.conf import Background

READY_BATCH = 256

Floats = np.ndarray[Any, np.dtype[np.float32]]


def make_ready(files: Sequence[bytes], *, background: Background, num_threads: int) -> Floats:
    """Decode PNG files into memory, on the CPU: float32 (n, C, H, W)."""
    chunks = [files[i : i + READY_BATCH] for i in range(0, len(files), READY_BATCH)]
    waiting = iter(chunks)
    built = Pipeline(
        batch_size=READY_BATCH, num_threads=num_threads, device_id=None, prefetch_queue_depth=1
    )
    with built:
        images = fn.external_source(source=lambda: _as_arrays(next(waiting)), batch=True)
        built.set_outputs(_ready(images, background=background, on_gpu=False))
    built.build()
    return np.concatenate([built.run()[0].as_array() for _ in chunks])


def build_pipeline(
    source: Callable[[], tuple[Any, ...]],
    *,
    batch_size: int,
    size_px: int,
    pixel_scale: int,
    background: Background,
    recolours: bool,
    with_alpha: bool,
    is_ready: bool,
    device: str,
    num_threads: int,
    prefetch: bool = True,
) -> Any:
    """Build a pipeline fed by ``source``; its output is float32 CHW in [-1, 1].

    Args:
        source: Returns a batch: images (ready pixels when ``is_ready``, else PNG files), flips
            (int32, 1 mirrors); then, when ``recolours``, which channel each of three is taken from
            (int32); then, where alpha is not kept, background colours (float32, shape (3, 1, 1),
            0 to 255). The arrays are read in place and must live until their batch is out.
        batch_size: Images a batch at most.
        size_px: Side of a stored image.
        pixel_scale: Integer enlargement.
        background: What alpha becomes.
        recolours: Whether channels may trade places.
        with_alpha: Whether alpha comes as a fourth channel where a background hides it too.
        is_ready: Whether images went through ``make_ready``.
        device: ``cpu`` or ``cuda:<index>``: where the transforms run. PNG decodes on the CPU
            whatever the device; DALI has no GPU decoder for it.
        num_threads: CPU threads of DALI.
        prefetch: Whether the next batch is made while this one is used.
    """
    on_gpu = device.startswith("cuda")
    built = Pipeline(
        batch_size=batch_size,
        num_threads=num_threads,
        device_id=int(device.partition(":")[2] or 0) if on_gpu else None,
        prefetch_queue_depth=2 if prefetch else 1,
        exec_async=prefetch,
        exec_pipelined=prefetch,
    )
    with built:
        keeps_alpha = background is Background.keep
        images, flips, *rest = fn.external_source(
            source=source, num_outputs=2 + recolours + (not keeps_alpha), batch=True, no_copy=True
        )
        if not is_ready:
            images = _ready(images, background=background, on_gpu=on_gpu)
        elif on_gpu:
            images = images.gpu()
        out = fn.flip(fn.reshape(images, layout="CHW"), horizontal=flips)
        if recolours:
            order = rest.pop(0)
            planes = [fn.slice(out, order[i : i + 1], [1], axes=[0]) for i in range(3)]
            out = fn.cat(*planes, out[3:], axis=0)
        if not keeps_alpha:
            colour = rest[0].gpu() if on_gpu else rest[0]
            share = out[3:] / 255.0
            over = (out[:3] * share + colour * (1.0 - share)) / 127.5 - 1.0
            out = fn.cat(over, share * 2.0 - 1.0, axis=0) if with_alpha else over
        if pixel_scale > 1:
            # Last: everything before is by the pixel, and there are fewer of them.
            side = float(size_px * pixel_scale)
            out = fn.reshape(out, layout="CHW")
            out = fn.resize(out, size=[side, side], interp_type=types.INTERP_NN)
        built.set_outputs(out)
    built.build()
    return built


def _ready(files: Any, *, background: Background, on_gpu: bool) -> Any:
    # ANY_DATA is what keeps alpha; every shard holds RGBA8 for this reason.
    images = fn.decoders.image(files, device="cpu", output_type=types.ANY_DATA)
    images = fn.reshape(images, layout="HWC")
    if on_gpu:
        images = images.gpu()
    pixels = fn.transpose(fn.cast(images, dtype=types.FLOAT), perm=[2, 0, 1], output_layout="CHW")
    if background is not Background.keep:
        return pixels
    colour, alpha = pixels[:3], pixels[3:]
    premultiplied = (colour / 127.5 - 1.0) * (alpha / 255.0)
    return fn.cat(premultiplied, alpha / 127.5 - 1.0, axis=0)


def _as_arrays(files: Sequence[bytes]) -> list[np.ndarray[Any, np.dtype[np.uint8]]]:
    return [np.frombuffer(file, dtype=np.uint8) for file in files]
