"""What a finished run leaves for others: a LoRA in two forms, or a whole model."""

import logging
import shutil
from pathlib import Path

import torch

from pipeline.core.rundir import RunDir
from pipeline.data.dataset import Dataset
from pipeline.models import lora
from pipeline.models.lora_files import save_lora
from pipeline.models.protocol import LoadedModel
from pipeline.models.sums import write_sums
from train.conf import Adapter, TrainConfig
from train.ema import Ema
from train.metadata import training_metadata
from train.samples import swapped

log = logging.getLogger(__name__)


def export(
    cfg: TrainConfig, model: LoadedModel, ema: Ema | None, *, run_dir: RunDir, dataset: Dataset
) -> None:
    """Write the LoRA, or with ``adapter=full`` the model; averaged weights where there are any."""
    weights: dict[str, torch.Tensor] | None = ema.tensors if ema is not None else None
    if cfg.adapter is Adapter.full:
        _write_model(model, weights, run_dir.path / "model")
        return
    metadata = training_metadata(cfg, dataset, run_dir)
    files = save_lora(model, cfg.lora, run_dir.lora, weights=weights, metadata=metadata)
    log.info("LoRA: %s", files["diffusers"])


def _write_model(model: LoadedModel, weights: dict[str, torch.Tensor] | None, folder: Path) -> None:
    """Write all weights in diffusers layout; the folder appears whole or not at all."""
    scratch = folder.with_name(f".{folder.name}")
    shutil.rmtree(scratch, ignore_errors=True)
    named = lora.trainable(model)
    with swapped(named, weights or named):
        model.pipeline.save_pretrained(scratch)
    write_sums(scratch)
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.replace(old)
    scratch.replace(folder)
    shutil.rmtree(old, ignore_errors=True)
    log.info("model: %s", folder)
