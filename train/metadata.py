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
from pipeline.models.noise_schedule import SCHEDULE_KEY
from train.conf import OptimizerName, TrainConfig, Weighting

OPTIMIZERS = {
    OptimizerName.adamw: "torch.optim.adamw.AdamW",
    OptimizerName.adamw8bit: "bitsandbytes.optim.adamw.AdamW8bit",
    OptimizerName.prodigy: "prodigyopt.prodigy.Prodigy",
}
"""As sd-scripts names them: module and class."""
IMAGES_KEY = "dgx_pixels_num_images"
NUM_TAGS = 1000
"""Most tags that are counted: a header is read whole by every tool that lists files."""


def training_metadata(cfg: TrainConfig, dataset: Dataset, run_dir: RunDir) -> dict[str, str]:
    """Return the header's strings. Deterministic given config, data set and run folder."""
    experiment, run_id = run_dir.path.parent.name, run_dir.path.name
    captions = dataset.split("train").captions
    data_name = _name(dataset)
    sets = [dataset, *(Dataset.open(more.path) for more in cfg.data.more)]
    told = _run(run_dir) | _data(sets, flip=cfg.data.flip) | _arguments(cfg)
    if cfg.loss.schedule_changes:
        told[SCHEDULE_KEY] = json.dumps(cfg.loss.schedule_changes, sort_keys=True)
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


def _name(dataset: Dataset) -> str:
    return str(dataset.card.get("name", dataset.path.name))


def _data(sets: Sequence[Dataset], *, flip: bool) -> dict[str, str]:
    captions = {_name(each): each.split("train").captions for each in sets}
    told = [
        {
            "name": _name(each),
            "digest": each.digest,
            "num_train_images": len(each.split("train").captions),
            "licences": each.card.get("licences", []),
        }
        for each in sets
    ]
    dirs = {name: {"n_repeats": 1, "img_count": len(found)} for name, found in captions.items()}
    return {
        DATA_KEY: json.dumps(told, sort_keys=True),
        "ss_num_train_images": str(sum(map(len, captions.values()))),
        "ss_flip_aug": str(flip and all(each.flip_ok for each in sets)),
        "ss_tag_frequency": json.dumps({k: count_tags(found) for k, found in captions.items()}),
        "ss_dataset_dirs": json.dumps(dirs),
    }


def _arguments(cfg: TrainConfig) -> dict[str, str]:
    optim = cfg.optim
    settings: Mapping[str, object] = {
        "betas": (optim.beta1, optim.beta2),
        "eps": optim.eps,
        "weight_decay": optim.weight_decay,
    }
    steps = math.ceil(cfg.num_images / cfg.batch_size)
    clamps = cfg.loss.weighting is Weighting.min_snr and cfg.loss.min_snr_gamma > 0
    precision = "no" if cfg.precision is Precision.fp32 else cfg.precision.value
    told: dict[str, object] = {
        "ss_seed": cfg.seed,
        "ss_learning_rate": optim.lr,
        "ss_unet_lr": optim.lr,
        "ss_text_encoder_lr": optim.lr if cfg.lora.text_encoder else None,
        "ss_optimizer": OPTIMIZERS[optim.name] + "(" + ",".join(
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
        "ss_min_snr_gamma": cfg.loss.min_snr_gamma if clamps else None,
        "ss_debiased_estimation": cfg.loss.weighting is Weighting.debiased,
        "ss_zero_terminal_snr": cfg.loss.zero_terminal_snr,
        "ss_caption_dropout_rate": cfg.data.caption_dropout,
        "ss_enable_bucket": False,
        "ss_resolution": (cfg.model.size_px, cfg.model.size_px),
    }  # fmt: skip
    return {key: str(value) for key, value in told.items()}
