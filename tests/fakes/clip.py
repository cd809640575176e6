"""A CLIP of the real shape with random weights, small enough to make in a test."""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import pre_tokenizers
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from eval.clip import ClipFiles
from eval.weights import Pinned
from pipeline.core.files import sha256_file

SIDE_PX = 32
MOST_TOKENS = 12
NAMES = ("config.json", "tokenizer.json", "model.safetensors")


def make_clip(folder: Path, *, without: str | None = None) -> ClipFiles:
    """Write the three files to ``folder/tiny-clip``; ``without`` one tensor of the weights."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*letters, *(f"{x}</w>" for x in letters), "<|startoftext|>", "<|endoftext|>"]
    home = folder / "tiny-clip"
    home.mkdir(parents=True)
    CLIPTokenizer(
        vocab={token: i for i, token in enumerate(tokens)}, merges=[]
    ).backend_tokenizer.save(str(home / "tokenizer.json"))
    layers = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 2, "projection_dim": 8}
    config = CLIPConfig(
        text_config=layers
        | heads
        | {
            "vocab_size": len(tokens),
            "max_position_embeddings": MOST_TOKENS,
            # As in the real one's configuration: the last token is found by its being the largest.
            "eos_token_id": 2,
            "bos_token_id": 0,
        },
        vision_config=layers | heads | {"image_size": SIDE_PX, "patch_size": 8},
        projection_dim=8,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = CLIPModel(config)
        for weight in model.parameters():
            torch.nn.init.normal_(weight, std=0.4)
    model.save_pretrained(home)
    weights = load_file(home / "model.safetensors")
    # The real file is of a time when positions were saved too.
    weights["text_model.embeddings.position_ids"] = torch.arange(MOST_TOKENS)[None]
    weights.pop(without or "", None)
    save_file(weights, home / "model.safetensors", metadata={"format": "pt"})
    files = tuple(Pinned(name=name, sha256=sha256_file(home / name)) for name in NAMES)
    return ClipFiles(repo="nobody/tiny-clip", revision="0" * 40, files=files)
