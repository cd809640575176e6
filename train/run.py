"""One training run, from a config to a LoRA."""

import logging
from collections.abc import Callable

import torch

from pipeline.core.checkpoint import Checkpoint, Checkpoints
from pipeline.core.errors import InputError
from pipeline.core.metrics import Tracker
from pipeline.core.outcome import Outcome
from pipeline.core.rundir import RunDir
from pipeline.core.seeds import derive_seed
from pipeline.core.timing import Stopwatch
from pipeline.core.world import World
from pipeline.data.conf import Background
from pipeline.data.dataset import Dataset
from pipeline.data.loader import Loader
from pipeline.data.mixture import join_sets, told_shares
from pipeline.models import lora
from pipeline.models.noise_schedule import change_schedule
from pipeline.models.protocol import LoadedModel
from pipeline.models.registry import load_model
from train.conf import Adapter, TrainConfig
from train.distributed import build_accelerator, same_everywhere
from train.ema import Ema
from train.events import RunEvents, restore
from train.export import export
from train.identity import identity
from train.loop import train
from train.optim import build_optimizer
from train.step import Objective, Trainer
from train.told import told_in_steps

log = logging.getLogger(__name__)


def run_training(
    cfg: TrainConfig,
    *,
    world: World,
    run_dir: RunDir,
    tracker: Tracker,
    should_stop: Callable[[], bool],
) -> Outcome:
    """Collective: train, or go on training, until done or told to stop.

    Args:
        cfg: What to train on what.
        world: This process's place.
        run_dir: Where checkpoints, samples and the LoRA go.
        tracker: Where figures go.
        should_stop: Collective: called once a step on every rank.

    Returns:
        Whether it is finished, and the figures of ``run.json``.

    Raises:
        InputError: Something the user gave is wrong, or the loss is not finite.
    """
    watch = Stopwatch()
    check_batch(cfg, world)
    accelerator = build_accelerator(
        world, precision=cfg.precision, num_accumulation_steps=cfg.num_accumulation_steps
    )
    dataset = Dataset.open(cfg.data.path)
    joined, parts, more = join_sets(cfg.data, dataset)
    model = _build_model(cfg, world)
    check_fit(cfg, model, size_px=dataset.size_px)
    named = lora.trainable(model)
    optimizer = build_optimizer(named, cfg.optim, lr_ratio_b=cfg.lora.lr_ratio_b)
    ema = (
        Ema(named, half_life_images=cfg.ema_half_life_images) if cfg.ema_half_life_images else None
    )
    trainer = Trainer(
        accelerator, Objective(model, cfg.loss), optimizer, named=named, ema=ema, cfg=cfg
    )
    checkpoints = Checkpoints(
        run_dir.checkpoints,
        keep=cfg.keep_checkpoints,
        identity=identity(cfg, model_digest=model.digest, dataset=dataset, more=more),
    )
    found = checkpoints.latest()
    _agree(found)
    # Rows of an attempt that was killed before it could save are dropped as well.
    tracker.rewind(found.num_images if found is not None else 0)
    if found is not None:
        restore(trainer, found, world)
        log.info("resumed at %d images from %s", found.num_images, found.path)

    for line in told_in_steps(cfg, world, found):
        log.info(line)
    for line in told_shares(cfg.data, parts) if more else ():
        log.info(line)
    splits = {"train": joined, "validation": dataset.split("validation")}
    loaders = {
        name: Loader(
            split,
            cfg.data,
            size_px=dataset.size_px,
            flip_ok=dataset.flip_ok,
            run_seed=cfg.seed,
            device=world.device,
            num_threads=cfg.data.num_threads or world.num_threads,
            with_alpha=cfg.loss.transparent_weight < 1,
            parts=parts if name == "train" else None,
        )
        for name, split in splits.items()
        if len(split)
    }
    if "train" not in loaders:
        raise InputError(f"data.path: {cfg.data.path} has no training images")
    validation = loaders.get("validation")
    events = RunEvents(
        trainer,
        checkpoints=checkpoints,
        tracker=tracker,
        run_dir=run_dir,
        world=world,
        fixed=validation.fixed if validation else None,
        validation_images=min(cfg.validation_images, len(splits["validation"])),
        sample_prompts=sample_prompts(
            cfg, splits["validation"].captions or splits["train"].captions
        ),
    )
    log.info(
        "training %d tensors (%d parameters) of %s on %d images, rank %d of %d",
        len(named),
        sum(p.numel() for p in named.values()),
        model.family_name.value,
        len(splits["train"]),
        world.rank,
        world.world_size,
    )
    start = trainer.num_images
    finished = train(
        trainer,
        loaders["train"].stream(
            trainer.num_images,
            batch_size=cfg.batch_size,
            num_accumulation_steps=cfg.num_accumulation_steps,
            world=world,
        ),
        until=cfg.num_images,
        every={
            "log": cfg.log_every,
            "validate": cfg.validate_every,
            "sample": cfg.sample_every,
            "save": cfg.save_every,
        },
        events=events,
        should_stop=should_stop,
    )
    events.finish()
    if finished and world.is_main:
        export(cfg, model, ema, run_dir=run_dir, dataset=dataset)
    elapsed_s = watch.elapsed_s()
    figures = events.figures | {
        "num_images": trainer.num_images,
        "images_this_attempt": trainer.num_images - start,
        "elapsed_s": round(elapsed_s, 2),
    }
    return Outcome(finished=finished, figures=figures)


def check_batch(cfg: TrainConfig, world: World) -> None:
    """Refuse a batch that does not divide evenly.

    Raises:
        InputError: Naming the keys.
    """
    parts = world.world_size * cfg.num_accumulation_steps
    if cfg.batch_size % parts:
        raise InputError(
            f"batch_size: {cfg.batch_size} is not a multiple of {world.world_size} ranks x "
            f"num_accumulation_steps={cfg.num_accumulation_steps}"
        )


def check_fit(cfg: TrainConfig, model: LoadedModel, *, size_px: int) -> None:
    """Refuse data whose channels or side are not the model's.

    Raises:
        InputError: Naming the keys.
    """
    keeps_alpha = cfg.data.background is Background.keep
    if keeps_alpha != (model.num_channels == 4):
        allowed = "keep" if model.num_channels == 4 else "solid or random"
        raise InputError(
            f"data.background: {cfg.data.background.value} does not fit "
            f"{model.family_name.value}; allowed: {allowed}"
        )
    if size_px * cfg.data.pixel_scale != cfg.model.size_px:
        raise InputError(
            f"data.pixel_scale: {size_px} px x {cfg.data.pixel_scale} is not "
            f"model.size_px={cfg.model.size_px}"
        )


def sample_prompts(cfg: TrainConfig, captions: list[str]) -> list[str]:
    """Return ``num_samples`` prompts: the user's in turn, or the first distinct captions."""
    trigger = cfg.data.trigger
    prompts = cfg.sample_prompts or [f"{trigger} {c}".strip() for c in dict.fromkeys(captions)]
    return [prompts[i % len(prompts)] for i in range(cfg.num_samples)]


def _build_model(cfg: TrainConfig, world: World) -> LoadedModel:
    model = load_model(cfg.model, device=world.device)
    change_schedule(model, cfg.loss.schedule_changes)
    _set_dropout(model, cfg.dropout)
    if cfg.adapter is Adapter.full:
        lora.unfreeze(model)
    else:
        lora.attach(model, cfg.lora, seed=derive_seed(cfg.seed, "adapter", 0))
    for module in model.modules.values():
        module.train()
    if cfg.gradient_checkpointing:
        # diffusers and transformers each have their own word for it.
        model.pipeline.unet.enable_gradient_checkpointing()
        for name, module in model.modules.items():
            if name != "unet":
                module.activation_checkpointing_enable()
    return model


def _set_dropout(model: LoadedModel, share: float) -> None:
    for module in model.pipeline.unet.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = share


def _agree(found: Checkpoint | None) -> None:
    """Collective: refuse to begin when ranks see different checkpoints (a lagging file system)."""
    if not same_everywhere(-1 if found is None else found.num_images):
        raise InputError("checkpoints: ranks see different newest checkpoints; start the job again")
