"""What happens between steps: rows of figures, validation, samples, checkpoints."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import sleep
from typing import Any

import torch
from torch import Tensor

from pipeline.core.checkpoint import Checkpoint, Checkpoints
from pipeline.core.errors import InputError
from pipeline.core.metrics import Tracker
from pipeline.core.rundir import RunDir
from pipeline.core.timing import Stopwatch
from pipeline.core.world import World
from pipeline.data.batch import Batch
from train.optim import (
    load_optimizer_numbers,
    load_optimizer_tensors,
    optimizer_numbers,
    optimizer_tensors,
)
from train.samples import draw_samples, join_grid, swapped
from train.step import Trainer
from train.validation import validation_loss

log = logging.getLogger(__name__)

GRID_WAIT_S = 60.0
"""How long the main rank waits at the end for the images other ranks still draw."""


class RunEvents:
    """The events of one training run; every method is collective."""

    def __init__(
        self,
        trainer: Trainer,
        *,
        checkpoints: Checkpoints,
        tracker: Tracker,
        run_dir: RunDir,
        world: World,
        fixed: Callable[[list[int]], Batch] | None,
        validation_images: int,
        sample_prompts: list[str],
    ) -> None:
        self.trainer = trainer
        self.checkpoints = checkpoints
        self.tracker = tracker
        self.run_dir = run_dir
        self.world = world
        self.fixed = fixed
        self.validation_images = validation_images
        self.sample_prompts = sample_prompts
        self.figures: dict[str, float | int | str] = {}
        self._watch = Stopwatch()
        self._images_at_lap = trainer.num_images
        self._open_grids: set[int] = set()

    def log(self) -> None:
        """Write a row; raise when the loss or the gradients stopped being finite."""
        trainer = self.trainer
        self._check_finite()
        window = torch.stack(trainer.window).mean()
        loss = float(trainer.accelerator.reduce(window, reduction="mean").item())
        trainer.window.clear()
        position = trainer.num_images
        rate = (position - self._images_at_lap) / self._watch.lap_s()
        self._images_at_lap = position
        cfg = trainer.cfg
        row = {
            "train/loss": loss,
            "train/lr": trainer.rate_at(position - cfg.batch_size),
            "train/grad_norm": float(trainer.grad_norm.item()),
            "speed/img_per_s": rate,
        }
        if trainer.accelerator.device.type == "cuda":
            row["memory/peak_gib"] = torch.cuda.max_memory_allocated() / 2**30
        self.tracker.log(position, row)
        self.figures |= {"loss": loss, "rate_img_per_s": round(rate, 2)}
        log.info("%d of %d images  loss %.4f  %.1f img/s", position, cfg.num_images, loss, rate)
        self._join_grids()

    def validate(self) -> None:
        """Measure the loss on fixed images, with the averaged weights when there are any."""
        if self.fixed is None or self.validation_images == 0:
            return
        trainer = self.trainer
        with self._as_used():
            loss = validation_loss(
                trainer.objective,
                self.fixed,
                num_images=self.validation_images,
                batch_size=max(1, trainer.cfg.batch_size // self.world.world_size),
                world=self.world,
                accelerator=trainer.accelerator,
            )
        self.tracker.log(trainer.num_images, {"validation/loss": loss})
        self.figures["validation_loss"] = loss
        log.info("%d images  validation loss %.4f", trainer.num_images, loss)
        self._pause_clock()

    def sample(self) -> None:
        """Draw this rank's share of the grid; the main rank joins the grid when it is complete."""
        trainer = self.trainer
        if not self.sample_prompts:
            return
        with self._as_used():
            draw_samples(
                trainer.objective.model,
                self.sample_prompts,
                self.run_dir.samples / f"{trainer.num_images:012d}",
                sampler=trainer.cfg.sampler,
                precision=trainer.cfg.precision,
                batch_size=max(1, len(self.sample_prompts) // self.world.world_size),
                world=self.world,
            )
        self._open_grids.add(trainer.num_images)
        self._join_grids()
        self._pause_clock()

    def save(self) -> None:
        """Save a checkpoint; all ranks meet to gather the loss window, the main rank writes."""
        trainer = self.trainer
        self._check_finite()
        window = torch.stack([*trainer.window, trainer.grad_norm.to(torch.float32)])
        gathered = trainer.accelerator.gather(window[None])
        if not self.world.is_main:
            return
        tensors: dict[str, Mapping[str, Tensor]] = {
            "weights": dict(trainer.named),
            "optimizer": optimizer_tensors(trainer.optimizer.optimizer, trainer.named),
            "window": {"loss": gathered},
        }
        if trainer.ema is not None:
            tensors["ema"] = trainer.ema.tensors
        watch = Stopwatch()
        path = self.checkpoints.save(trainer.num_images, tensors, _state(trainer, self.world))
        self.tracker.observe("checkpoint_time_s", watch.elapsed_s())
        log.info("saved %s", path)
        self._pause_clock()

    def finish(self) -> None:
        """Join the last grids; the main rank waits a while for the others' images, not for ever."""
        watch = Stopwatch()
        while self._open_grids and self.world.is_main and watch.elapsed_s() < GRID_WAIT_S:
            self._join_grids()
            sleep(0.05)
        if self._open_grids and self.world.is_main:
            log.warning("sample grids %s lack images of other ranks", sorted(self._open_grids))

    def _check_finite(self) -> None:
        trainer = self.trainer
        finite = trainer.accelerator.reduce(trainer.is_finite.to(torch.int64), reduction="sum")
        if int(finite.item()) < self.world.world_size:
            raise InputError(
                f"loss: not finite at {trainer.num_images} images; the last good checkpoint stands "
                f"in {self.run_dir.checkpoints}; try a lower optim.lr or precision=fp32"
            )

    @contextmanager
    def _as_used(self) -> Iterator[None]:
        """Lend the model its averaged weights, and switch dropout off."""
        trainer = self.trainer
        values: Mapping[str, Tensor] = trainer.named if trainer.ema is None else trainer.ema.tensors
        modules = trainer.objective.model.modules.values()
        with swapped(trainer.named, values):
            for module in modules:
                module.eval()
            try:
                yield
            finally:
                for module in modules:
                    module.train()

    def _join_grids(self) -> None:
        if not self.world.is_main:
            return
        for position in sorted(self._open_grids):
            folder = self.run_dir.samples / f"{position:012d}"
            sheet = join_grid(folder, num_samples=len(self.sample_prompts), columns=8)
            if sheet is not None:
                self.tracker.log_image(position, "samples", sheet)
                self._open_grids.discard(position)

    def _pause_clock(self) -> None:
        # What is not training does not count in its rate.
        self._images_at_lap = self.trainer.num_images
        self._watch.lap_s()


def restore(trainer: Trainer, found: Checkpoint, world: World) -> None:
    """Put a checkpoint back into a fresh trainer."""
    with torch.no_grad():
        for name, parameter in trainer.named.items():
            parameter.copy_(found.tensors["weights"][name])
    load_optimizer_tensors(
        trainer.optimizer.optimizer, trainer.named, found.tensors.get("optimizer", {})
    )
    load_optimizer_numbers(trainer.optimizer.optimizer, found.state.get("optimizer", {}))
    if trainer.ema is not None:
        trainer.ema.load(found.tensors["ema"])
    trainer.num_images = found.num_images
    scaler = trainer.accelerator.scaler
    if scaler is not None and "scaler" in found.state:
        scaler.load_state_dict(found.state["scaler"])
    if found.state["world_size"] == world.world_size:
        *losses, grad_norm = found.tensors["window"]["loss"][world.rank]
        device = trainer.accelerator.device
        trainer.window = [loss.to(device) for loss in losses]
        trainer.grad_norm = grad_norm.to(device)


def _state(trainer: Trainer, world: World) -> dict[str, Any]:
    state: dict[str, Any] = {"world_size": world.world_size}
    numbers = optimizer_numbers(trainer.optimizer.optimizer)
    if numbers:
        state["optimizer"] = numbers
    if trainer.accelerator.scaler is not None:
        state["scaler"] = trainer.accelerator.scaler.state_dict()
    return state
