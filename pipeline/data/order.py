"""Which image, flip, background and caption belong to a position of the run's stream.

Positions count over all ranks, so the stream is the same on any number of GPUs and after any
restart. Nothing here is saved, because nothing has to be.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.core.errors import InputError
from pipeline.core.seeds import derive_seed, derive_uniform
from pipeline.core.world import World
from pipeline.data.conf import Background, DataConfig
from pipeline.data.mixture import Mixture, Part
from pipeline.data.recolour import AS_THEY_ARE, RECOLOURINGS, Channels


@dataclass(frozen=True, slots=True)
class Draw:
    """What a position says."""

    index: int
    sample_id: int
    is_flipped: bool
    has_caption: bool
    background_rgb: tuple[int, int, int]
    channels: Channels = AS_THEY_ARE
    """Which stored channel each of red, green and blue is taken from."""
    turns_hue: bool = False
    shuffles_tags: bool = False
    part: int = 0
    """Which of the run's data sets it is from."""

    @property
    def is_recoloured(self) -> bool:
        """Whether channels trade places."""
        return self.channels != AS_THEY_ARE


class Order:
    """The stream of one run over a split of ``num_samples`` images, or over several sets'."""

    def __init__(
        self,
        num_samples: int,
        cfg: DataConfig,
        *,
        flip_ok: bool,
        run_seed: int,
        parts: Sequence[Part] | None = None,
    ) -> None:
        self.num_samples = num_samples
        self.cfg = cfg
        self.run_seed = run_seed
        self.solid_rgb = (cfg.background_rgb[0], cfg.background_rgb[1], cfg.background_rgb[2])
        alone = Part(num_samples=num_samples, flip_ok=flip_ok, trigger=cfg.trigger)
        self.parts = parts or [alone]
        self._mixture = Mixture(self.parts, run_seed=run_seed)

    def draw(self, index: int) -> Draw:
        """Return what belongs to the position ``index``, counted over all ranks."""
        part, sample_id = self._mixture.at(index)
        flips = self.cfg.flip and self.parts[part].flip_ok
        seed, dropout = self.run_seed, self.cfg.caption_dropout
        has_caption = not dropout or derive_uniform(seed, "caption_dropout", index) >= dropout
        # Without a caption nothing could tell a model that the palette is not the artist's.
        channels = self._channels(index) if has_caption else AS_THEY_ARE
        return Draw(
            index=index,
            sample_id=sample_id,
            is_flipped=flips and derive_uniform(seed, "flip", index) < 0.5,
            has_caption=has_caption,
            background_rgb=self._background(index),
            channels=channels,
            turns_hue=has_caption and channels == AS_THEY_ARE and self._turns_hue(index),
            shuffles_tags=self.cfg.shuffle_tags,
            part=part,
        )

    def _turns_hue(self, index: int) -> bool:
        return self.cfg.hue > 0 and derive_uniform(self.run_seed, "hue", index) < self.cfg.hue

    def _channels(self, index: int) -> Channels:
        share = self.cfg.recolour
        if not share or derive_uniform(self.run_seed, "recolour", index) >= share:
            return AS_THEY_ARE
        return RECOLOURINGS[derive_seed(self.run_seed, "channels", index) % len(RECOLOURINGS)]

    def _background(self, index: int) -> tuple[int, int, int]:
        if self.cfg.background is not Background.random:
            return self.solid_rgb
        colour = derive_seed(self.run_seed, "background", index)
        return colour & 255, colour >> 8 & 255, colour >> 16 & 255


def micro_batches(
    start: int, *, batch_size: int, num_accumulation_steps: int, world: World
) -> Iterator[range]:
    """Yield the positions of this rank's micro-batches, for ever.

    An optimiser step covers ``batch_size`` positions in a row. They are cut into
    ``num_accumulation_steps`` times ``world_size`` equal pieces; a rank takes the piece of its
    number in each round, so that a step covers the same positions on any number of ranks.

    Raises:
        InputError: The batch does not divide evenly.
    """
    parts = world.world_size * num_accumulation_steps
    if batch_size % parts:
        raise InputError(
            f"batch_size: {batch_size} is not a multiple of {world.world_size} ranks x "
            f"num_accumulation_steps={num_accumulation_steps}"
        )
    size = batch_size // parts
    while True:
        for turn in range(num_accumulation_steps):
            first = start + (turn * world.world_size + world.rank) * size
            yield range(first, first + size)
        start += batch_size
