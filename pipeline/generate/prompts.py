"""The work list: prompts x seeds, numbered once for all ranks."""

from dataclasses import dataclass

from pipeline.core.errors import InputError
from pipeline.generate.conf import GenerateConfig


@dataclass(frozen=True, slots=True)
class Item:
    """One image to make."""

    index: int
    """Global index: decides the image's noise and its file name."""
    prompt: str
    seed_number: int
    """Which of the prompt's images."""


def build_work(cfg: GenerateConfig) -> list[Item]:
    """Return all items: image ``i`` has prompt ``i // num_seeds``.

    Raises:
        InputError: The prompts file is missing, is not text, or holds no prompt.
    """
    prompts = [*cfg.prompts, *_read_prompts(cfg)]
    if not prompts:
        raise InputError(f"prompts_file: {cfg.prompts_file} holds no prompt")
    return [
        Item(index, prompts[index // cfg.num_seeds], index % cfg.num_seeds)
        for index in range(len(prompts) * cfg.num_seeds)
    ]


def cut_batches(work: list[Item], batch_size: int) -> list[list[Item]]:
    """Cut by global index, so that a batch holds the same images on any number of ranks."""
    return [work[start : start + batch_size] for start in range(0, len(work), batch_size)]


def _read_prompts(cfg: GenerateConfig) -> list[str]:
    path = cfg.prompts_file
    if path is None:
        return []
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise InputError(f"prompts_file: {path} does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"prompts_file: {path} cannot be read as text ({error})") from None
    stripped = (line.strip() for line in lines)
    return [line for line in stripped if line and not line.startswith("#")]
