"""From a position in the run's stream to a batch of tensors: order is ours, pixels are DALI's."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import torch
import torch.utils.dlpack
from PIL import Image
from torch import Tensor

from pipeline.core.errors import InputError
from pipeline.core.picture import png_bytes
from pipeline.core.world import World
from pipeline.data.batch import Batch
from pipeline.data.captions import shuffled_tags
from pipeline.data.conf import Background, DataConfig
from pipeline.data.dataset import Split
from pipeline.data.hue import Pixels, turn_hues
from pipeline.data.mixture import Part
from pipeline.data.order import Draw, Order, micro_batches
from pipeline.data.ready import ready_pixels
from pipeline.data.recolour import recoloured_caption, turned_caption

FLOAT_BYTES = 4


class Loader:
    """Batches of one split.

    Args:
        split: Images and captions.
        cfg: How they become tensors.
        size_px: Side of every image.
        flip_ok: Whether the data set allows mirroring.
        run_seed: Decides order, flips, backgrounds and caption dropout.
        device: ``cpu`` or ``cuda:<index>``.
        num_threads: CPU threads DALI may use.
        with_alpha: Whether batches tell opacity, which a background hides.
        parts: The shares of several data sets in ``split``; none: it is one set.
    """

    def __init__(
        self,
        split: Split,
        cfg: DataConfig,
        *,
        size_px: int,
        flip_ok: bool,
        run_seed: int,
        device: str,
        num_threads: int,
        with_alpha: bool = False,
        parts: Sequence[Part] | None = None,
    ) -> None:
        if not len(split):
            raise InputError("data.path: the split holds no images")
        self.split = split
        self.cfg = cfg
        self.device = device
        self.num_threads = num_threads
        self.with_alpha = with_alpha
        self.order = Order(len(split), cfg, flip_ok=flip_ok, run_seed=run_seed, parts=parts)
        self._weighs = any(part.loss_weight != 1 for part in self.order.parts)
        self.size_px = size_px
        self._dali = _import_dali()
        fits = 4 * size_px**2 * FLOAT_BYTES * len(split) <= cfg.cache_gib * 2**30
        self._ready = (
            self._dali.make_ready(
                [split.png_bytes(i) for i in range(len(split))],
                background=cfg.background,
                num_threads=num_threads,
            )
            if fits
            else None
        )
        self._fixed: dict[int, tuple[Any, deque[tuple[Any, ...]]]] = {}

    def stream(
        self, start: int, *, batch_size: int, num_accumulation_steps: int, world: World
    ) -> Iterator[Batch]:
        """Yield this rank's micro-batches from position ``start`` on, for ever."""
        spans = micro_batches(
            start,
            batch_size=batch_size,
            num_accumulation_steps=num_accumulation_steps,
            world=world,
        )
        size = batch_size // (world.world_size * num_accumulation_steps)
        waiting: deque[tuple[list[Draw], tuple[Any, ...]]] = deque()

        def source() -> tuple[Any, ...]:
            turned: dict[int, Pixels] = {}
            draws = [self._settled(self.order.draw(index), turned) for index in next(spans)]
            arrays = self._arrays(draws, turned)
            # DALI reads the arrays in place: they must live until their batch is out.
            waiting.append((draws, arrays))
            return arrays

        pipeline = self._pipeline(source, size)
        while True:
            (out,) = pipeline.run()
            draws, _ = waiting.popleft()
            yield self._batch(draws, out)

    def fixed(self, sample_ids: Sequence[int]) -> Batch:
        """Return given images as they are: no flip, no dropout, a neutral background."""
        is_random = self.cfg.background is Background.random
        rgb = (128, 128, 128) if is_random else self.order.solid_rgb
        draws = [Draw(i, i, False, True, rgb) for i in sample_ids]
        if len(draws) not in self._fixed:
            given: deque[tuple[Any, ...]] = deque(maxlen=1)
            pipeline = self._pipeline(lambda: given[0], len(draws), prefetch=False)
            self._fixed[len(draws)] = (pipeline, given)
        pipeline, given = self._fixed[len(draws)]
        given.append(self._arrays(draws, {}))
        (out,) = pipeline.run()
        return self._batch(draws, out)

    def _pipeline(self, source: Any, size: int, *, prefetch: bool = True) -> Any:
        return self._dali.build_pipeline(
            source,
            batch_size=size,
            size_px=self.size_px,
            pixel_scale=self.cfg.pixel_scale,
            background=self.cfg.background,
            recolours=self.cfg.recolour > 0,
            with_alpha=self.with_alpha,
            is_ready=self._ready is not None,
            device=self.device,
            num_threads=self.num_threads,
            prefetch=prefetch,
        )

    def _settled(self, draw: Draw, turned: dict[int, Pixels]) -> Draw:
        """Turn the hues where the draw asks for it; without any to turn, the draw says so."""
        if not draw.turns_hue:
            return draw
        pixels = np.asarray(Image.open(BytesIO(self.split.png_bytes(draw.sample_id))))
        out = turn_hues(pixels, run_seed=self.order.run_seed, index=draw.index)
        if np.array_equal(out, pixels):
            return replace(draw, turns_hue=False)
        turned[draw.index] = out
        return draw

    def _arrays(self, draws: list[Draw], turned: dict[int, Pixels]) -> tuple[Any, ...]:
        ids = [draw.sample_id for draw in draws]
        if self._ready is not None:
            images: Any = self._ready[ids]
        else:
            images = [np.frombuffer(self.split.png_bytes(i), dtype=np.uint8) for i in ids]
        for row, draw in enumerate(draws):
            if draw.index in turned:
                images[row] = self._as_read(turned[draw.index])
        arrays = [images, np.array([draw.is_flipped for draw in draws], dtype=np.int32)]
        if self.cfg.recolour:
            arrays.append(np.array([draw.channels for draw in draws], dtype=np.int32))
        if self.cfg.background is not Background.keep:
            colours = np.array([draw.background_rgb for draw in draws], dtype=np.float32)
            arrays.append(colours.reshape(-1, 3, 1, 1))
        return tuple(arrays)

    def _as_read(self, pixels_HWC: Pixels) -> Any:
        """Return changed pixels in the form the pipeline takes: ready ones, or a PNG file."""
        if self._ready is None:
            return np.frombuffer(png_bytes(Image.fromarray(pixels_HWC)), dtype=np.uint8)
        return ready_pixels(pixels_HWC, self.cfg.background)

    def _batch(self, draws: list[Draw], out: Any) -> Batch:
        # DALI uses its buffers again: the batch gets its own memory.
        pixels_BCHW: Tensor = torch.utils.dlpack.from_dlpack(out.as_tensor()).clone()
        alpha_B1HW = (pixels_BCHW[:, 3:] + 1) / 2 if self.with_alpha else None
        num_channels = 4 if self.cfg.background is Background.keep else 3
        return Batch(
            pixels_BCHW=pixels_BCHW[:, :num_channels],
            alpha_B1HW=alpha_B1HW,
            captions=[self._caption(draw) for draw in draws],
            indices=[draw.index for draw in draws],
            sample_ids=[draw.sample_id for draw in draws],
            loss_weights=(
                [self.order.parts[draw.part].loss_weight for draw in draws]
                if self._weighs
                else None
            ),
        )

    def _caption(self, draw: Draw) -> str:
        if not draw.has_caption:
            return ""
        caption = self.split.captions[draw.sample_id]
        if draw.shuffles_tags:
            caption = shuffled_tags(
                caption, keep=self.cfg.keep_tags, run_seed=self.order.run_seed, index=draw.index
            )
        if draw.is_recoloured:
            caption = recoloured_caption(caption, draw.channels, word=self.cfg.recolour_word)
        elif draw.turns_hue:
            caption = turned_caption(caption, word=self.cfg.recolour_word)
        return f"{self.order.parts[draw.part].trigger} {caption}".strip()


def _import_dali() -> Any:
    # Late: it takes a second, and reads the GPU driver.
    try:
        from pipeline.data import dali
    except ImportError as error:
        raise InputError(
            f"DALI cannot be imported ({error}); install it with "
            "`pip install nvidia-dali-cuda130` (or -cuda120 for CUDA 12)"
        ) from None
    return dali
