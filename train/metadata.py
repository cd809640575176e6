"""What a trained LoRA's header says of its run and its data, for other tools and for people.

``ss_*`` are sd-scripts' keys, with its meanings; those whose value is not known here are left out.
Times are left out too, so that the same run gives the same file: ``run.json`` has them.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence

from pipeline.core.files import read_json
from pipeline.core.rundir import RunDir
from pipeline.data.dataset import Dataset
from pipeline.generate.conf import Precision
from pipeline.models.lora_derived import DATA_KEY
from pipeline.models.lora_header import COMMIT_KEY, DIFF_KEY, OUTPUT_KEY, RUN_KEY, TITLE_KEY
from train.conf import TrainConfig

IMAGES_KEY = "dgx_pixels_num_images"
NUM_TAGS = 1000
"""Most tags that are counted: a header is read whole by every tool that lists files."""


def training_metadata(cfg: TrainConfig, dataset: Dataset, run_dir: RunDir) -> dict[str, str]:
    """Return the header's strings. Deterministic given config, data set and run folder."""
    experiment, run_id = run_dir.path.parent.name, run_dir.path.name
    captions = dataset.split("train").captions
    data_name = str(dataset.card.get("name", dataset.path.name))
    told = _run(run_dir) | _data(cfg, dataset, data_name, captions) | _arguments(cfg)
    told |= {
        RUN_KEY: f"{experiment}/{run_id}",
        OUTPUT_KEY: run_id,
        TITLE_KEY: f"{experiment} {run_id}",
        IMAGES_KEY: str(cfg.num_images),
        "modelspec.description": (
            f"LoRA of rank {cfg.lora.rank}, trained on {len(captions)} images of "
            f"{data_name}, {cfg.num_images} images seen."
        ),
    }
    if cfg.data.trigger:
        told["modelspec.trigger_phrase"] = cfg.data.trigger
    if (base := cfg.model.path or cfg.model.repo) is not None:
        told["ss_sd_model_name"] = base if isinstance(base, str) else base.name
    return told


def count_tags(captions: Sequence[str]) -> dict[str, int]:
    """Count what stands between commas, most frequent first, as sd-scripts does."""
    counter = Counter(tag.strip() for text in captions for tag in text.split(",") if tag.strip())
    ordered = sorted(counter.items(), key=lambda pair: (-pair[1], pair[0]))
    return dict(ordered[:NUM_TAGS])


def _run(run_dir: RunDir) -> dict[str, str]:
    """Return the code's commit, and its diff where the tree was not clean."""
    if not run_dir.code_json.is_file():
        return {}
    code = read_json(run_dir.code_json)
    found = {COMMIT_KEY: code.get("commit"), DIFF_KEY: code.get("diff_sha256")}
    return {key: value for key, value in found.items() if value}


def _data(cfg: TrainConfig, dataset: Dataset, name: str, captions: Sequence[str]) -> dict[str, str]:
    one = {
        "name": name,
        "digest": dataset.digest,
        "num_train_images": len(captions),
        "licences": dataset.card.get("licences", []),
    }
    return {
        DATA_KEY: json.dumps([one], sort_keys=True),
        "ss_num_train_images": str(len(captions)),
        "ss_flip_aug": str(cfg.data.flip and dataset.flip_ok),
        "ss_tag_frequency": json.dumps({name: count_tags(captions)}),
        "ss_dataset_dirs": json.dumps({name: {"n_repeats": 1, "img_count": len(captions)}}),
    }


def _arguments(cfg: TrainConfig) -> dict[str, str]:
    optim = cfg.optim
    settings: Mapping[str, object] = {
        "betas": (optim.beta1, optim.beta2),
        "eps": optim.eps,
        "weight_decay": optim.weight_decay,
    }
    steps = math.ceil(cfg.num_images / cfg.batch_size)
    precision = "no" if cfg.precision is Precision.fp32 else cfg.precision.value
    told: dict[str, object] = {
        "ss_seed": cfg.seed,
        "ss_learning_rate": optim.lr,
        "ss_unet_lr": optim.lr,
        "ss_text_encoder_lr": optim.lr if cfg.lora.text_encoder else None,
        "ss_optimizer": "torch.optim.adamw.AdamW(" + ",".join(
            f"{key}={value}" for key, value in settings.items()
        ) + ")",
        "ss_lr_scheduler": optim.schedule.value,
        "ss_lr_warmup_steps": math.ceil(optim.warmup_images / cfg.batch_size),
        "ss_max_grad_norm": optim.max_grad_norm,
        "ss_max_train_steps": steps,
        "ss_steps": steps,
        "ss_total_batch_size": cfg.batch_size,
        "ss_gradient_accumulation_steps": cfg.num_accumulation_steps,
        "ss_gradient_checkpointing": cfg.gradient_checkpointing,
        "ss_mixed_precision": precision,
        "ss_noise_offset": cfg.loss.noise_offset or None,
        "ss_min_snr_gamma": cfg.loss.min_snr_gamma or None,
        "ss_caption_dropout_rate": cfg.data.caption_dropout,
        "ss_enable_bucket": False,
        "ss_resolution": (cfg.model.size_px, cfg.model.size_px),
    }  # fmt: skip
    return {key: str(value) for key, value in told.items()}
