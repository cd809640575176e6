"""The DALI pipeline: decode, flip, enlarge, alpha, range. One definition for CPU and GPU.

Shape legend: H W height width, C channels.
"""

from collections.abc import Callable
from typing import Any

from nvidia.dali import fn, types
from nvidia.dali.pipeline import Pipeline

from pipeline.data.conf import Background


def build_pipeline(
    source: Callable[[], tuple[Any, ...]],
    *,
    batch_size: int,
    size_px: int,
    pixel_scale: int,
    background: Background,
    is_decoded: bool,
    device: str,
    num_threads: int,
    prefetch: bool = True,
) -> Any:
    """Build a pipeline fed by ``source``.

    Args:
        source: Returns a batch: images (PNG bytes, or uint8 HWC when ``is_decoded``), flips (int32,
            1 mirrors), and, where alpha is not kept, background colours (float, 0 to 255).
        batch_size: Images a batch at most.
        size_px: Side of a stored image.
        pixel_scale: Integer enlargement.
        background: What alpha becomes.
        is_decoded: Whether images arrive as pixels.
        device: ``cpu`` or ``cuda:<index>``: where the transforms run. PNG decodes on the CPU
            whatever the device; DALI has no GPU decoder for it.
        num_threads: CPU threads of DALI.
        prefetch: Whether the next batch is made while this one is used.
    """
    on_gpu = device.startswith("cuda")
    options = {
        "batch_size": batch_size,
        "num_threads": num_threads,
        "device_id": int(device.partition(":")[2] or 0) if on_gpu else None,
        "prefetch_queue_depth": 2 if prefetch else 1,
        "exec_async": prefetch,
        "exec_pipelined": prefetch,
    }

    built = Pipeline(**options)
    with built:
        keeps_alpha = background is Background.keep
        images, flips, *colours = fn.external_source(
            source=source, num_outputs=2 if keeps_alpha else 3, batch=True
        )
        if not is_decoded:
            # ANY_DATA is what keeps alpha; every shard holds RGBA8 for this reason.
            images = fn.decoders.image(images, device="cpu", output_type=types.ANY_DATA)
        images = fn.reshape(images, layout="HWC")
        if on_gpu:
            images = images.gpu()
            colours = [colour.gpu() for colour in colours]
        images = fn.flip(images, horizontal=flips)
        pixels = fn.cast(images, dtype=types.FLOAT)
        colour, alpha = pixels[:, :, :3], pixels[:, :, 3:]
        if keeps_alpha:
            premultiplied = (colour / 127.5 - 1.0) * (alpha / 255.0)
            out = fn.cat(premultiplied, alpha / 127.5 - 1.0, axis=2)
        else:
            share = alpha / 255.0
            out = (colour * share + colours[0] * (1.0 - share)) / 127.5 - 1.0
        out = fn.transpose(out, perm=[2, 0, 1], output_layout="CHW")
        if pixel_scale > 1:
            # Last: everything before is by the pixel, and there are fewer of them.
            side = float(size_px * pixel_scale)
            out = fn.resize(out, size=[side, side], interp_type=types.INTERP_NN)
        built.set_outputs(out)
    built.build()
    return built
