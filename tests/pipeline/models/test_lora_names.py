"""Names of layers both ways, SDXL's held against diffusers' own reading of the original names."""

import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint
from torch import nn

from pipeline.models.conf import FamilyName, ModelConfig
from pipeline.models.lora_names import canonical, from_flat, to_flat
from pipeline.models.registry import load_model


def layers(module: nn.Module, prefix: str) -> list[str]:
    kinds = (nn.Linear, nn.Conv2d)
    return [canonical(f"{prefix}.{n}") for n, m in module.named_modules() if isinstance(m, kinds)]


@pytest.fixture(scope="module")
def sdxl_unet() -> UNet2DConditionModel:
    """SDXL's UNet block for block, of no weights and few channels."""
    with torch.device("meta"):
        return UNet2DConditionModel(
            block_out_channels=(32, 64, 128), layers_per_block=2, norm_num_groups=8,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            transformer_layers_per_block=[1, 2, 10], attention_head_dim=8, cross_attention_dim=64,
            use_linear_projection=True, addition_embed_type="text_time",
            addition_time_embed_dim=8, projection_class_embeddings_input_dim=80,
        )  # fmt: skip


@pytest.mark.parametrize("own_blocks", [True, False])
@pytest.mark.parametrize("family", list(FamilyName), ids=lambda family: family.value)
def test_every_layer_comes_back(
    bases: dict[FamilyName, ModelConfig], family: FamilyName, own_blocks: bool
) -> None:
    model = load_model(bases[family], device="cpu")
    names = [n for prefix, module in model.modules.items() for n in layers(module, prefix)]
    flat = [to_flat(name, family, own_blocks=own_blocks) for name in names]
    assert len(set(flat)) == len(names)
    assert [from_flat(name) for name in flat] == names


def test_sdxl_names_are_those_of_the_original_checkpoint(sdxl_unet: UNet2DConditionModel) -> None:
    names = layers(sdxl_unet, "unet")
    flat = {to_flat(n, FamilyName.sdxl, own_blocks=True): n for n in names}
    assert [from_flat(name) for name in flat] == names
    # sd-scripts' and ComfyUI's flat name is the checkpoint's own, dots made underscores.
    original = {}
    for name in flat:
        dotted = name.removeprefix("lora_unet_")
        for word in (
            "input_blocks",
            "middle_block",
            "output_blocks",
            "time_embed",
            "label_emb",
            "in_layers",
            "out_layers",
            "emb_layers",
            "skip_connection",
            "proj_in",
            "proj_out",
            "transformer_blocks",
            "to_q",
            "to_k",
            "to_v",
            "to_out",
        ):
            dotted = dotted.replace(word, word.replace("_", "-"))
        original[f"model.diffusion_model.{dotted.replace('_', '.').replace('-', '_')}"] = name
    checkpoint = {f"{key}.{part}": name for key, name in original.items()
                  for part in ("weight", "bias")}  # fmt: skip
    read = convert_ldm_unet_checkpoint(checkpoint, sdxl_unet.config)
    found = {f"unet.{key.removesuffix('.weight')}": name for key, name in read.items()
             if key.endswith(".weight") and name is not None}  # fmt: skip
    assert found == {name: flat_name for flat_name, name in flat.items()}


def test_names_that_other_tools_write() -> None:
    # As in files of sd-scripts for SDXL and SD 1.5.
    cases = {
        "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_out_0":
            "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_out.0",
        "lora_unet_output_blocks_0_1_transformer_blocks_9_ff_net_0_proj":
            "unet.up_blocks.0.attentions.0.transformer_blocks.9.ff.net.0.proj",
        "lora_unet_output_blocks_2_2_conv": "unet.up_blocks.0.upsamplers.0.conv",
        "lora_unet_middle_block_1_proj_in": "unet.mid_block.attentions.0.proj_in",
        "lora_unet_down_blocks_0_resnets_1_time_emb_proj":
            "unet.down_blocks.0.resnets.1.time_emb_proj",
        "lora_te_text_model_encoder_layers_3_self_attn_q_proj":
            "text_encoder.text_model.encoder.layers.3.self_attn.q_proj",
        "lora_te2_text_model_encoder_layers_31_mlp_fc1":
            "text_encoder_2.text_model.encoder.layers.31.mlp.fc1",
    }  # fmt: skip
    assert {flat: from_flat(flat) for flat in cases} == cases
    assert from_flat("lora_transformer_blocks_0") is None
