"""Names of a LoRA's layers: diffusers' dotted ones and the flat ones of kohya's files.

    unet.down_blocks.1.attentions.0.proj_in        diffusers, the name used in this project
    lora_unet_down_blocks_1_attentions_0_proj_in   flat: kohya's of SD 1.5, and what ComfyUI maps
    lora_unet_input_blocks_4_1_proj_in             flat, as sd-scripts counts SDXL's blocks

A flat name does not tell which underscores were dots. The words that have one of their own are few
and fixed by diffusers' and transformers' classes, so they are listed here.
"""

import re

from pipeline.models.conf import FamilyName

UNET = "unet"
TEXT_MODEL = "text_model."
"""Prefix inside a text encoder that transformers 5 dropped and every other tool expects."""
WORDS = re.compile(
    r"down_blocks|up_blocks|mid_block|transformer_blocks|time_embedding|add_embedding|linear_[12]"
    r"|to_(?:q|k|v|out)|proj_(?:in|out)|time_emb_proj|conv_(?:in|out|shortcut)"
    r"|text_model|text_projection|self_attn|(?:q|k|v|out)_proj|[a-z0-9]+"
)
TEXT_PREFIX = {"text_encoder": ("lora_te_", "lora_te1_"), "text_encoder_2": ("lora_te2_",)}

# Podell et al.'s own code counts blocks through: input 0 is conv_in, then of each level its layers
# and its downsampler; SDXL has two layers a level (three on the way up).
NUM_LAYERS = 2
STRIDE = NUM_LAYERS + 1
RESNET = {
    "conv1": "in_layers.2",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
SINGLE = {
    "conv_in": "input_blocks.0.0",
    "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}
FLAT_SINGLE = {value.replace(".", "_"): key for key, value in SINGLE.items()}
FLAT_RESNET = {value.replace(".", "_"): key for key, value in RESNET.items()}
LEVEL = re.compile(
    r"(down|up)_blocks\.(\d+)\.(resnets|attentions|(?:down|up)samplers)\.(\d+)\.(.+)"
)
MIDDLE = re.compile(r"mid_block\.(resnets|attentions)\.(\d+)\.(.+)")
FLAT_LEVEL = re.compile(r"(input|output)_blocks_(\d+)_(\d+)_(.+)")
FLAT_MIDDLE = re.compile(r"middle_block_(\d+)_(.+)")


def canonical(name: str) -> str:
    """Return a dotted name with the text encoder's ``text_model.`` where it was left out."""
    module, _, path = name.partition(".")
    if module == UNET or path.startswith((TEXT_MODEL, "text_projection")):
        return name
    return f"{module}.{TEXT_MODEL}{path}"


def to_flat(name: str, family: FamilyName, *, own_blocks: bool) -> str:
    """Return the flat name of a dotted, canonical one.

    Args:
        name: Such as ``unet.conv_in`` or ``text_encoder.text_model.encoder...``.
        family: Decides how text encoders are called.
        own_blocks: Count SDXL's blocks as sd-scripts does; other families are not touched.
    """
    module, _, path = name.partition(".")
    if module == UNET:
        if own_blocks and family is FamilyName.sdxl:
            path = _to_own(path)
        return "lora_unet_" + path.replace(".", "_")
    prefix = TEXT_PREFIX[module][-1 if family is FamilyName.sdxl else 0]
    return prefix + path.replace(".", "_")


def from_flat(flat: str) -> str | None:
    """Return the dotted name of a flat one of either kind; None: it is no LoRA's layer."""
    if flat.startswith("lora_unet_"):
        path = flat.removeprefix("lora_unet_")
        return f"{UNET}.{_from_own(path) or _dotted(path)}"
    for module, prefixes in TEXT_PREFIX.items():
        for prefix in prefixes:
            if flat.startswith(prefix):
                return canonical(f"{module}.{_dotted(flat.removeprefix(prefix))}")
    return None


def _dotted(flat: str) -> str:
    return ".".join(WORDS.findall(flat))


def _to_own(path: str) -> str:
    if path in SINGLE:
        return SINGLE[path]
    if match := MIDDLE.fullmatch(path):
        kind, index, rest = match[1], int(match[2]), match[3]
        return f"middle_block.{2 * index if kind == 'resnets' else 1}.{RESNET.get(rest, rest)}"
    match = LEVEL.fullmatch(path)
    if match is None:
        return path
    way, level, kind, layer, rest = match[1], int(match[2]), match[3], int(match[4]), match[5]
    if way == "down":
        start = 1 + STRIDE * level
        if kind == "downsamplers":
            return f"input_blocks.{start + NUM_LAYERS}.0.op"
        block = f"input_blocks.{start + layer}"
    else:
        if kind == "upsamplers":
            # SDXL's upsamplers all stand behind an attention, which is number 1.
            return f"output_blocks.{STRIDE * level + NUM_LAYERS}.2.conv"
        block = f"output_blocks.{STRIDE * level + layer}"
    return f"{block}.0.{RESNET.get(rest, rest)}" if kind == "resnets" else f"{block}.1.{rest}"


def _from_own(flat: str) -> str | None:
    if flat in FLAT_SINGLE:
        return FLAT_SINGLE[flat]
    if match := FLAT_MIDDLE.fullmatch(flat):
        index = int(match[1])
        where = "attentions.0" if index == 1 else f"resnets.{index // 2}"
        return f"mid_block.{where}.{_inside(match[2])}"
    match = FLAT_LEVEL.fullmatch(flat)
    if match is None:
        return None
    way, number, place, rest = match[1], int(match[2]), int(match[3]), match[4]
    if way == "input":
        level, layer = divmod(number - 1, STRIDE)
        if layer == NUM_LAYERS:
            return f"down_blocks.{level}.downsamplers.0.conv"
        block = f"down_blocks.{level}"
    else:
        level, layer = divmod(number, STRIDE)
        if place == 2:
            return f"up_blocks.{level}.upsamplers.0.conv"
        block = f"up_blocks.{level}"
    return f"{block}.{'attentions' if place else 'resnets'}.{layer}.{_inside(rest)}"


def _inside(flat: str) -> str:
    return FLAT_RESNET.get(flat) or _dotted(flat)
