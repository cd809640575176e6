"""CLIP distance: how far apart two pictures, or a picture and its prompt, are in meaning.

Radford et al. 2021, arXiv 2103.00020; ViT-B/32, as CLIPScore has it (Hessel et al. 2021, arXiv
2104.08718). The model is looked for in a local folder and the hub's cache and never fetched; its
files are known by their digests. Without it the metric is unavailable: nothing else is called CLIP.

Shape legend: N pictures, D features, h w shown height and width.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Float64
from PIL import Image
from torch import Tensor

from eval.batches import Picture, batches, factor, pairs
from eval.metric import MetricInfo, Scope, UnavailableError
from eval.similarity import GROUND, PEAK, over_ground
from eval.weights import Pinned, Place, find

MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)
"""Of the training pictures' channels, 0..1 (Radford et al.'s code)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipFiles:
    """Which CLIP: one commit of one repository of the hub."""

    repo: str
    revision: str
    files: tuple[Pinned, ...]


VIT_B_32 = ClipFiles(
    repo="openai/clip-vit-base-patch32",
    # The commit that holds the weights as safetensors; the main branch has a pickle only.
    revision="b33cedfd0df4e43b8238760678fcc89e1a0d38b3",
    files=(
        Pinned(
            name="config.json",
            sha256="b575ef3c36f2a057fa19e221650105052d61cc9c1a972ec15019c6261ec98770",
        ),
        Pinned(
            name="tokenizer.json",
            sha256="b556ac8c99757ffb677208af34bc8c6721572114111a6e0aaf5fa69ff0b8d842",
        ),
        Pinned(
            name="model.safetensors",
            sha256="99d28a652e6ec46629ab7047a0ac82c69b1fe11e0ce672c43af65d3a9a3fc05d",
        ),
    ),
)
_NEEDS = f"{VIT_B_32.repo} at {VIT_B_32.revision[:8]} in a folder or the hub's cache"

METRICS = (
    MetricInfo(
        name="clip_distance",
        unit="",
        higher_is_better=False,
        scope=Scope.pair,
        formula="1 - cosine of the two pictures' embeddings",
        source="Radford et al. 2021, arXiv 2103.00020; ViT-B/32",
        needs=_NEEDS,
    ),
    MetricInfo(
        name="clip_text_distance",
        unit="",
        higher_is_better=False,
        scope=Scope.image,
        formula="1 - cosine of the picture's and its prompt's embeddings",
        source="Hessel et al. 2021, arXiv 2104.08718, before its scaling; ViT-B/32",
        needs=_NEEDS,
    ),
)


class Clip:
    """Embeds pictures and texts in one space.

    Raises:
        UnavailableError: The model is not there, or a file of it is another one.
    """

    def __init__(self, place: Place, which: ClipFiles = VIT_B_32) -> None:
        from huggingface_hub import constants
        from tokenizers import Tokenizer
        from transformers import CLIPModel
        from transformers.utils import logging

        # Bars are for a terminal; jobs write logs.
        logging.disable_progress_bar()
        name = which.repo.rsplit("/", 1)[1]
        repo = f"models--{which.repo.replace('/', '--')}"
        cache = Path(constants.HF_HUB_CACHE) / repo / "snapshots" / which.revision
        paths = find(
            "clip",
            which.files,
            [place.folder and place.folder / name, cache],
            how=f"hf download {which.repo} --revision {which.revision} "
            + " ".join(file.name for file in which.files),
        )
        folder = paths[0].parent
        model, told = CLIPModel.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
        if told["missing_keys"]:
            # The library would fill them with random numbers and only warn.
            missing = ", ".join(sorted(told["missing_keys"])[:3])
            raise UnavailableError(f"clip: {paths[-1]} has no {missing}")
        self.model: Any = model.eval().to(place.device)
        self.device = place.device
        self.side_px: int = self.model.config.vision_config.image_size
        self.tokenizer: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.enable_truncation(self.model.config.text_config.max_position_embeddings)
        self.tokenizer.enable_padding()

    @torch.inference_mode()
    def pictures(self, images: Sequence[Picture]) -> Float32[Tensor, "N D"]:
        """Return unit embeddings of pictures; sizes may differ."""
        shown = np.stack([_square(image, self.side_px) for image in images])
        scaled = torch.from_numpy(shown).permute(0, 3, 1, 2).float() / PEAK
        mean, deviation = (torch.tensor(v).view(1, 3, 1, 1) for v in (MEAN, DEVIATION))
        pixels = ((scaled - mean) / deviation).to(self.device)
        return _unit(self.model.get_image_features(pixel_values=pixels).pooler_output)

    @torch.inference_mode()
    def texts(self, texts: Sequence[str]) -> Float32[Tensor, "N D"]:
        """Return unit embeddings of texts; what is beyond 77 tokens is cut."""
        encoded = self.tokenizer.encode_batch(list(texts))
        found = self.model.get_text_features(
            input_ids=torch.tensor([e.ids for e in encoded], device=self.device),
            attention_mask=torch.tensor([e.attention_mask for e in encoded], device=self.device),
        )
        return _unit(found.pooler_output)


@functools.lru_cache(maxsize=1)
def open_clip(place: Place) -> Clip:
    """Load CLIP once for both of its metrics.

    Raises:
        UnavailableError: The model is not there, or a file of it is another one.
    """
    return Clip(place)


class ClipDistance:
    """Measures how far apart the pictures of pairs are."""

    def __init__(self, clip: Clip) -> None:
        self.clip = clip

    def __call__(
        self, left: Sequence[Picture], right: Sequence[Picture]
    ) -> dict[str, Float64[np.ndarray, " N"]]:
        """Return ``clip_distance`` of each pair, 0..2.

        Raises:
            ValueError: The sequences are not equally long, or a pair's sizes differ.
        """
        values = np.empty(len(left))
        for indices, ones, others in pairs(left, right, at_least_px=self.clip.side_px):
            values[indices] = _apart(self.clip.pictures(ones), self.clip.pictures(others))
        return {"clip_distance": values}


class ClipTextDistance:
    """Measures how far pictures are from their prompts."""

    def __init__(self, clip: Clip) -> None:
        self.clip = clip

    def __call__(
        self, images: Sequence[Picture], texts: Sequence[str]
    ) -> dict[str, Float64[np.ndarray, " N"]]:
        """Return ``clip_text_distance`` of each picture, 0..2.

        Raises:
            ValueError: There is not one text a picture.
        """
        if len(images) != len(texts):
            raise ValueError(f"{len(images)} pictures cannot be paired with {len(texts)} texts")
        values = np.empty(len(images))
        for indices in batches(images, at_least_px=self.clip.side_px):
            found = self.clip.pictures([images[i] for i in indices])
            values[indices] = _apart(found, self.clip.texts([texts[i] for i in indices]))
        return {"clip_text_distance": values}


def _square(image: Picture, side_px: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Show a picture on grey in the middle of a square, whole, enlarged by a whole number.

    CLIP's own cut would lose what is outside the middle; its own filter only takes what a whole
    number leaves over.
    """
    height, width = image.shape[:2]
    longest = max(height, width)
    ground = Image.new("RGB", (longest, longest), GROUND)
    colour = np.rint(over_ground(image)).astype(np.uint8)
    ground.paste(Image.fromarray(colour), ((longest - width) // 2, (longest - height) // 2))
    side = longest * factor(longest, longest, side_px)
    shown = ground.resize((side, side), Image.Resampling.NEAREST)
    if side != side_px:
        shown = shown.resize((side_px, side_px), Image.Resampling.BICUBIC)
    return np.asarray(shown)


def _unit(features: Float32[Tensor, "N D"]) -> Float32[Tensor, "N D"]:
    return features / features.norm(dim=1, keepdim=True)


def _apart(
    left: Float32[Tensor, "N D"], right: Float32[Tensor, "N D"]
) -> Float64[np.ndarray, " N"]:
    # By differences: 1 - x.y of unit vectors is |x - y|^2 / 2, and 0 for the same one.
    apart: Float64[np.ndarray, " N"] = (
        ((left.double() - right.double()) ** 2).sum(dim=1).div(2).cpu().numpy()
    )
    return apart
