"""From a ``ModelConfig`` to a ``LoadedModel``: which bytes, checked, never a pickle."""

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from diffusers.utils import logging as diffusers_logging
from torch import nn

from pipeline.core.device import require_device
from pipeline.core.errors import InputError
from pipeline.core.files import sha256_file
from pipeline.models.conf import FamilyName, ModelConfig
from pipeline.models.pixelnano import FOLD, NUM_CHANNELS, Pixelnano, PixelnanoPipeline, build
from pipeline.models.protocol import Family, LoadedModel
from pipeline.models.sd15 import StableDiffusion15
from pipeline.models.sdxl import StableDiffusionXL
from pipeline.models.sums import NAME, check_sums

log = logging.getLogger(__name__)

OWN = "; for a pixelnano of your own: model=pixelnano_blank model.path=FOLDER"

PIPELINES = {
    FamilyName.pixelnano: PixelnanoPipeline,
    FamilyName.sd15: StableDiffusionPipeline,
    FamilyName.sdxl: StableDiffusionXLPipeline,
}


def get_family(name: FamilyName) -> Family:
    """Return the operations of a family."""
    families: dict[FamilyName, Family] = {
        FamilyName.pixelnano: Pixelnano(),
        FamilyName.sd15: StableDiffusion15(),
        FamilyName.sdxl: StableDiffusionXL(),
    }
    return families[name]


def load_model(cfg: ModelConfig, *, device: str) -> LoadedModel:
    """Load a base model in fp32, frozen and in evaluation mode.

    Args:
        cfg: Which family and which bytes.
        device: ``cpu`` or ``cuda:<index>``.

    Raises:
        InputError: The device is not there, or a file is missing, is not safetensors, or has
            another digest.
    """
    require_device(device)
    # Bars are for a terminal; jobs write logs.
    diffusers_logging.disable_progress_bar()
    pipeline = _load_pipeline(cfg)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.to(device)
    for module in _weighted(pipeline).values():
        module.requires_grad_(requires_grad=False)
        module.eval()
    if cfg.family is FamilyName.pixelnano:
        side = cfg.size_px // FOLD
        channels, latent_shape = NUM_CHANNELS, (NUM_CHANNELS * FOLD**2, side, side)
    else:
        side = cfg.size_px // pipeline.vae_scale_factor
        # SDXL is told the size it draws, and reads it here.
        pipeline.unet.register_to_config(sample_size=side)
        channels, latent_shape = 3, (pipeline.unet.config.in_channels, side, side)
    return LoadedModel(
        family_name=cfg.family,
        family=get_family(cfg.family),
        pipeline=pipeline,
        num_channels=channels,
        latent_shape=latent_shape,
        size_px=cfg.size_px,
        digest=_digest(pipeline),
    )


def _load_pipeline(cfg: ModelConfig) -> Any:
    if cfg.path is None and cfg.repo is None:
        if cfg.family is not FamilyName.pixelnano:
            raise InputError(
                f"model.path: {cfg.family.value} needs a local folder, or model.repo with "
                "model.revision"
            )
        log.info("model: pixelnano with random weights (no model.path given)")
        return build(cfg.size_px)
    source: str | Path
    if cfg.path is not None:
        _check_folder(cfg.path, cfg.sha256)
        source = cfg.path
    else:
        assert cfg.repo is not None
        source = cfg.repo
    try:
        return PIPELINES[cfg.family].from_pretrained(
            source,
            revision=cfg.revision if cfg.path is None else None,
            variant=_variant(cfg),
            use_safetensors=True,
            local_files_only=cfg.path is not None,
            dtype=torch.float32,
            **({"add_watermarker": False} if cfg.family is FamilyName.sdxl else {}),
        )
    except (OSError, ValueError) as error:
        line = str(error).splitlines()[0]
        raise InputError(
            f"model: {source} could not be loaded as {cfg.family.value}: {line}"
        ) from error


def _variant(cfg: ModelConfig) -> str | None:
    """Return the variant to read; a local folder may hold the plain files alone."""
    if cfg.path is None or cfg.variant is None:
        return cfg.variant
    if any(cfg.path.glob(f"*/*.{cfg.variant}.safetensors")):
        return cfg.variant
    log.info("model: %s holds no %s variant; its plain files are read", cfg.path, cfg.variant)
    return None


def _check_folder(folder: Path, expected: dict[str, str]) -> None:
    if not (folder / "model_index.json").is_file():
        raise InputError(
            f"model.path: {folder} holds no model_index.json; give a folder in diffusers layout"
        )
    for name, digest in expected.items():
        if not (folder / name).is_file():
            raise InputError(f"model.sha256: {folder / name} does not exist{OWN}")
        found = sha256_file(folder / name)
        if found != digest:
            raise InputError(f"model.sha256: {folder / name} has {found}, expected {digest}{OWN}")
    if not check_sums(folder) and not expected:
        log.info("model: %s has no %s: its files are taken as they are", folder, NAME)


def _weighted(pipeline: Any) -> dict[str, nn.Module]:
    parts = sorted(pipeline.components.items())
    return {name: part for name, part in parts if isinstance(part, nn.Module)}


def _digest(pipeline: Any) -> str:
    """Hash weights, noise schedule and vocabularies, so that any change of the base is seen."""
    digest = hashlib.sha256()
    for part, component in sorted(pipeline.components.items()):
        told: dict[str, Any] = {}
        if part == "scheduler":
            told = {k: v for k, v in component.config.items() if not k.startswith("_")}
        elif hasattr(component, "get_vocab"):
            told = component.get_vocab()
        digest.update(f"{part} {json.dumps(told, sort_keys=True, default=str)}\n".encode())
    for part, module in _weighted(pipeline).items():
        for name, tensor in sorted(module.state_dict().items()):
            digest.update(f"{part}.{name} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
