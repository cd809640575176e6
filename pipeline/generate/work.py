"""The work list: prompts x seeds x variants x sizes, numbered once for all ranks.

Nothing is held but the prompts: an item is worked out from its index, so a million cost no memory.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby

from pipeline.core.files import sha256_bytes
from pipeline.generate.conf import GenerateConfig
from pipeline.generate.prompts import Prompt, read_prompts


@dataclass(frozen=True, slots=True)
class Item:
    """One image to make."""

    index: int
    """Global index: decides the file's name and the batch."""
    prompt: str
    negative: str
    seed: int
    """The run's, or the prompt's own."""
    seed_number: int
    """Which of the prompt's images."""
    noise_index: int
    """With ``seed`` decides the first noise: the same for all variants."""
    variant: int
    """Position in ``WorkList.variants``."""
    size_px: int
    """Pixels. Side the model draws."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Images that are drawn in one call, all of one variant and size."""

    name: str
    """Round and first index: unique in a run, the same on every rank."""
    attempt: int
    """0, or how often these images have been drawn before."""
    indices: tuple[int, ...]


class WorkList:
    """All items of a run. Index order: variant, size, prompt, seed, the last fastest."""

    def __init__(
        self,
        prompts: Sequence[Prompt],
        *,
        variants: Sequence[str],
        sizes_px: Sequence[int],
        seed: int,
    ) -> None:
        self.prompts = prompts
        self.variants = variants
        self.sizes_px = sizes_px
        self.seed = seed
        self._ends = list(accumulate(prompt.num_seeds for prompt in prompts))
        self.block_size = self._ends[-1]
        """Items of one variant and size."""

    def __len__(self) -> int:
        return self.block_size * len(self.variants) * len(self.sizes_px)

    def __getitem__(self, index: int) -> Item:
        if not 0 <= index < len(self):
            raise IndexError(index)
        block, position = divmod(index, self.block_size)
        variant, size = divmod(block, len(self.sizes_px))
        row = bisect_right(self._ends, position)
        prompt = self.prompts[row]
        seed_number = position - (self._ends[row] - prompt.num_seeds)
        own = prompt.seed is not None
        return Item(
            index=index,
            prompt=prompt.text,
            negative=prompt.negative,
            seed=prompt.seed if prompt.seed is not None else self.seed,
            seed_number=seed_number,
            noise_index=seed_number if own else position,
            variant=variant,
            size_px=self.sizes_px[size],
        )

    def __iter__(self) -> Iterator[Item]:
        return (self[index] for index in range(len(self)))

    def cut(self, indices: Iterable[int], *, batch_size: int, attempt: int = 0) -> list[Batch]:
        """Cut sorted indices into batches of one variant and size each.

        The cut follows from the indices alone, so it is the same on any number of ranks.
        """
        batches = []
        for _, block in groupby(indices, key=lambda index: index // self.block_size):
            members = list(block)
            for start in range(0, len(members), batch_size):
                part = members[start : start + batch_size]
                name = f"{attempt}-{part[0]:09d}"
                batches.append(Batch(name, attempt, tuple(part)))
        return batches

    @property
    def digest(self) -> str:
        """sha256 over all that decides what is drawn where."""
        told = (*self.prompts, *self.variants, *self.sizes_px, self.seed)
        return sha256_bytes("\n".join(map(repr, told)).encode())


def build_work(cfg: GenerateConfig) -> WorkList:
    """Return the work of a config.

    With one variant, one size and no seeds of the prompts' own, image ``i`` has prompt
    ``i // num_seeds``.

    Raises:
        InputError: The prompts cannot be read.
    """
    return WorkList(
        read_prompts(cfg),
        variants=[variant.name for variant in cfg.variants] or [""],
        sizes_px=cfg.sizes_px or [cfg.model.size_px],
        seed=cfg.seed,
    )
