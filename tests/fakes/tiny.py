"""Whole sd15 and sdxl pipelines of a few thousand random weights, in diffusers layout."""

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDPMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

from pipeline.models.conf import FamilyName
from pipeline.models.pixelnano import TOKENIZER


def build_tiny(family: FamilyName, folder: Path) -> Path:
    torch.manual_seed(0)
    tokenizer = CLIPTokenizer.from_pretrained(TOKENIZER)
    text = CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=20, projection_dim=32, bos_token_id=0,
        eos_token_id=1, pad_token_id=1,
    )  # fmt: skip
    is_xl = family is FamilyName.sdxl
    more: dict[str, Any] = (
        {"addition_embed_type": "text_time", "addition_time_embed_dim": 8,
         "projection_class_embeddings_input_dim": 32 + 6 * 8}
        if is_xl else {}
    )  # fmt: skip
    unet = UNet2DConditionModel(
        # Two layers a block, as SDXL has: sd-scripts' names count them.
        sample_size=8, block_out_channels=(32, 64), layers_per_block=2 if is_xl else 1,
        norm_num_groups=8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=64 if is_xl else 32, attention_head_dim=4, **more,
    )  # fmt: skip
    vae = AutoencoderKL(
        block_out_channels=(16, 16, 16, 16), norm_num_groups=8, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
    )  # fmt: skip
    parts: dict[str, Any] = {
        "unet": unet, "vae": vae, "tokenizer": tokenizer,
        "scheduler": DDPMScheduler(steps_offset=1, clip_sample=False),
        "text_encoder": CLIPTextModel(text),
    }  # fmt: skip
    if is_xl:
        parts |= {"tokenizer_2": tokenizer, "text_encoder_2": CLIPTextModelWithProjection(text)}
        pipeline = StableDiffusionXLPipeline(**parts, add_watermarker=False)
    else:
        pipeline = StableDiffusionPipeline(
            **parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False
        )
    pipeline.save_pretrained(folder)
    return folder
