"""What a run means in steps, told at its start: positions are counted in images."""

from collections.abc import Iterator

from pipeline.core.checkpoint import Checkpoint
from pipeline.core.world import World
from train.conf import TrainConfig
from train.schedule import peak_rate


def told_in_steps(cfg: TrainConfig, world: World, found: Checkpoint | None) -> Iterator[str]:
    """Yield the lines; one more where a run goes on with another number of ranks."""
    size = cfg.batch_size
    rounds = cfg.num_accumulation_steps
    share = size // (world.world_size * rounds)
    yield (
        f"a step is {size} images: {world.world_size} ranks x {rounds} rounds x {share}; "
        f"{_steps(cfg.num_images, size)} steps in all, {_steps(cfg.optim.warmup_images, size)} of "
        f"warm-up, a checkpoint every {_steps(cfg.save_every, size)}"
    )
    peak = peak_rate(cfg.optim, batch_size=size)
    if peak != cfg.optim.lr:
        yield (
            f"peak rate {peak:.4g}: optim.lr={cfg.optim.lr} by {cfg.optim.scale_lr.value} scaling "
            f"from {cfg.optim.reference_batch_size} to {size} images a step"
        )
    before = None if found is None else int(found.state["world_size"])
    if before not in (None, world.world_size):
        yield (
            f"saved on {before} ranks, goes on on {world.world_size}: a step stays {size} images, "
            f"so rate {peak:.4g}, warm-up and schedule stay as they are, and so do order and noise"
        )


def _steps(num_images: int, batch_size: int) -> int:
    return -(-num_images // batch_size)
