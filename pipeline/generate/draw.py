"""A loaded model, ready to draw batches of a work list.

Shape legend: B batch, C channels, H W height width.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor

from pipeline.core.errors import InputError
from pipeline.core.noise import sample_noise
from pipeline.generate.conf import (
    ComputeConfig,
    GenerateConfig,
    Precision,
    SamplerConfig,
    Wrap,
)
from pipeline.generate.sample import denoise, to_bytes
from pipeline.generate.text import TextCache
from pipeline.generate.work import Item
from pipeline.models import adapters
from pipeline.models.conf import LoraUse
from pipeline.models.protocol import LoadedModel
from pipeline.models.registry import load_model
from pipeline.models.wrap import wrap_convolutions


class Drawer:
    """Draws batches of items; adapters are swapped without loading the base again."""

    def __init__(
        self,
        model: LoadedModel,
        *,
        variants: Sequence[Sequence[LoraUse]],
        sampler: SamplerConfig,
        compute: ComputeConfig,
        precision: Precision,
        device: str,
    ) -> None:
        """Load every adapter and make the model ready.

        Args:
            model: Base model, used up by this: nothing else may draw with it.
            variants: Sets of adapters; ``Item.variant`` counts in these.
            sampler: Scheduler, steps, guidance.
            compute: How to be fast.
            precision: Arithmetic of the network calls.
            device: ``cpu`` or ``cuda:<index>``.

        Raises:
            InputError: An adapter is not usable.
        """
        if device.startswith("cuda"):
            # A rank that sees all GPUs would otherwise open a context on the first of them too.
            torch.cuda.set_device(device)
        self.model = model
        self.sampler, self.compute = sampler, compute
        self.precision, self.device = precision, device
        self.adapters = adapters.Adapters(self.model, variants, fuse=compute.fuse_loras)
        self.text = TextCache(self.model)
        self._state: tuple[int, int] | None = None
        self._prepare()

    def _prepare(self) -> None:
        pipeline = self.model.pipeline
        wrap = self.sampler.wrap
        if wrap is not Wrap.none:
            for name in ("unet", "vae"):
                if hasattr(pipeline, name):
                    wrap_convolutions(
                        getattr(pipeline, name),
                        x=wrap in (Wrap.x, Wrap.both),
                        y=wrap in (Wrap.y, Wrap.both),
                    )
        if self.compute.channels_last:
            pipeline.unet.to(memory_format=torch.channels_last)
        if self.compute.compile:
            # Compiles one block of each kind instead of the whole network: a tenth of the time.
            pipeline.unet.compile_repeated_blocks(fullgraph=True)

    @torch.inference_mode()
    def __call__(self, items: Sequence[Item], *, attempt: int) -> UInt8[Tensor, "B H W C"]:
        """Draw one image an item, all of one variant and size; bytes on the model's device.

        An image depends on its own item, on its row and on the number of rows, not on the others'
        content.
        """
        first = items[0]
        self._become(first.variant, first.size_px)
        stream = noise_stream(attempt)
        shape = self.model.latent_shape_at(first.size_px)
        noise_BCHW = torch.cat(
            [sample_noise(item.seed, stream, [item.noise_index], shape=shape) for item in items]
        )
        guided = self.sampler.guidance_scale > 1
        conditioning = self.text.conditioning(
            [item.prompt for item in items], [item.negative for item in items] if guided else []
        )
        pixels_BCHW = denoise(
            self.model,
            noise_BCHW,
            conditioning,
            sampler=self.sampler,
            device=self.device,
            precision=self.precision,
            decode_batch_size=self.compute.decode_batch_size,
        )
        if not torch.isfinite(pixels_BCHW).all():
            raise InputError(
                f"precision: {self.precision.value} overflows in this model (image {first.index}); "
                "use bf16 or fp32"
            )
        return to_bytes(pixels_BCHW)

    def _become(self, variant: int, size_px: int) -> None:
        if self._state == (variant, size_px):
            return
        self.adapters.use(variant)
        # SDXL is told the size it draws, and reads it here; the others do not look.
        side = self.model.latent_shape_at(size_px)[-1]
        self.model.pipeline.unet.register_to_config(sample_size=side)
        self.text.clear()
        self._state = (variant, size_px)


def load_drawer(cfg: GenerateConfig, *, device: str) -> Drawer:
    """Load the model of a run with all its adapters.

    Raises:
        InputError: The model or an adapter is not usable.
    """
    return Drawer(
        load_model(cfg.model, device=device),
        variants=[variant.loras for variant in cfg.variants] or [cfg.loras],
        sampler=cfg.sampler,
        compute=cfg.compute,
        precision=cfg.precision,
        device=device,
    )


def noise_stream(attempt: int) -> str:
    """Return the name of the random stream of a round: a redraw has noise of its own."""
    return "noise" if attempt == 0 else f"noise-{attempt}"


def to_host(pixels: Tensor) -> tuple[Tensor, Any]:
    """Begin copying to the host; return the tensor and what to wait for (None: it is there).

    The GPU goes on with the next batch meanwhile.
    """
    if pixels.device.type != "cuda":
        return pixels, None
    host = torch.empty(pixels.shape, dtype=pixels.dtype, pin_memory=True)
    host.copy_(pixels, non_blocking=True)
    event = torch.cuda.Event()
    # On the stream of the device that copies: a rank that sees all GPUs need not be on the first.
    event.record(torch.cuda.current_stream(pixels.device))
    return host, event
