"""What one image costs, counted and not guessed: multiply-adds, calls, bytes. Nothing is computed.

Networks are built on torch's meta device (shapes without memory), so that SDXL's 2.6 thousand
million weights need none. Operations are counted by torch's own ``FlopCounterMode``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from pipeline.models import lora
from pipeline.models.conf import LoraConfig
from pipeline.models.pixelnano import build

SDXL_TOKENS = 77
"""Of both text encoders."""
LATENT_CHANNELS = 4
VAE_FACTOR = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Of one pass over one image."""

    flop: float
    """Floating-point operations; a multiply-add is two."""
    calls: int
    """Operations handed to the device: at least as many kernels are launched."""


class _Calls(TorchDispatchMode):
    """Counts operations, without those that only look at a tensor in another way."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        if not func.is_view and "empty" not in str(func):
            self.calls += 1
        return func(*args, **(kwargs or {}))


def count(work: Callable[[], object]) -> Counted:
    """Run ``work`` once under both counters."""
    with FlopCounterMode(display=False) as flop, _Calls() as calls:
        work()
    return Counted(flop=float(flop.get_total_flops()), calls=calls.calls)


def sdxl_unet() -> nn.Module:
    """Return SDXL's UNet without weights, as stable-diffusion-xl-base-1.0 has it."""
    with torch.device("meta"):
        return UNet2DConditionModel(
            sample_size=128,
            block_out_channels=(320, 640, 1280),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            transformer_layers_per_block=(1, 2, 10),
            attention_head_dim=(5, 10, 20),
            cross_attention_dim=2048,
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=256,
            projection_class_embeddings_input_dim=2816,
        )


def sdxl_vae() -> nn.Module:
    """Return SDXL's VAE without weights."""
    with torch.device("meta"):
        return AutoencoderKL(
            block_out_channels=(128, 256, 512, 512),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
            latent_channels=LATENT_CHANNELS,
        )


def pixelnano_unet() -> nn.Module:
    """Return pixelnano's UNet without weights."""
    with torch.device("meta"):
        unet: nn.Module = build().unet
    return unet.to("meta")


def predict(unet: Any) -> torch.Tensor:
    """Call a UNet on one image's shapes."""
    cfg = unet.config
    more = {}
    with torch.device("meta"):
        if cfg.addition_embed_type == "text_time":
            more = {"text_embeds": torch.empty(1, 1280), "time_ids": torch.empty(1, 6)}
        latents = torch.empty(1, cfg.in_channels, cfg.sample_size, cfg.sample_size)
        text = torch.empty(1, SDXL_TOKENS, cfg.cross_attention_dim)
        answer: torch.Tensor = unet(
            latents, torch.empty(1), encoder_hidden_states=text, added_cond_kwargs=more
        ).sample
    return answer


def count_call(unet: nn.Module) -> Counted:
    """Count one network call of sampling."""
    with torch.no_grad():
        return count(lambda: predict(unet))


def count_step(unet: nn.Module) -> Counted:
    """Count forward and backward of what of the UNet requires gradients; not the optimiser."""
    return count(lambda: predict(unet).mean().backward())


def count_vae(vae: Any, *, encodes: bool, size_px: int) -> Counted:
    """Count the VAE's encoder or decoder on one image of this side."""
    side = size_px // VAE_FACTOR
    with torch.no_grad(), torch.device("meta"):
        if encodes:
            return count(lambda: vae.encode(torch.empty(1, 3, size_px, size_px)))
        return count(lambda: vae.decode(torch.empty(1, LATENT_CHANNELS, side, side)))


def adapt(unet: Any, cfg: LoraConfig) -> None:
    """Freeze the UNet and put an adapter on it, as training does."""
    from peft import LoraConfig as PeftLoraConfig

    unet.requires_grad_(requires_grad=False)
    names = lora.unet_targets(unet, cfg.targets)
    with torch.device("meta"):
        unet.add_adapter(PeftLoraConfig(r=cfg.rank, lora_alpha=cfg.alpha, target_modules=names))


def gradient_bytes(unet: nn.Module) -> tuple[int, int]:
    """Return bytes of all fp32 gradients, and how many tensors they are."""
    trained = [p for p in unet.parameters() if p.requires_grad]
    return sum(4 * p.numel() for p in trained), len(trained)
