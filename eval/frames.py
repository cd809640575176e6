"""Which pictures of a set are frames of one animation: their names say so."""

from eval.batches import Picture
from eval.drawn import Drawn
from pipeline.core.errors import InputError
from pipeline.export.naming import label_of_file

LEAST_FRAMES = 3
"""With fewer nothing can come and go."""


def animations(drawn: Drawn) -> dict[str, list[Picture]]:
    """Return the frames of each animation in order, by its name.

    A name such as ``monster_slime_0_2`` is frame 2 of ``monster_slime_0``, as sprites are exported;
    what has no such name, or fewer than three frames, is no animation.

    Raises:
        InputError: Frames of one animation differ in size.
    """
    told: dict[str, dict[int, int]] = {}
    for index, file in enumerate(drawn.files):
        label = label_of_file(file.stem, index=index)
        if file.stem == f"{label.group}_{label.frame}":
            told.setdefault(label.group, {})[label.frame] = index
    found = {}
    for name, frames in sorted(told.items()):
        if len(frames) >= LEAST_FRAMES:
            order = [index for _, index in sorted(frames.items())]
            _require_one_size(drawn, order)
            found[name] = [drawn.pictures[index] for index in order]
    return found


def _require_one_size(drawn: Drawn, order: list[int]) -> None:
    first = drawn.pictures[order[0]].shape
    for index in order:
        height, width = drawn.pictures[index].shape[:2]
        if (height, width) != first[:2]:
            raise InputError(
                f"{drawn.files[index]}: {width}x{height}, but {drawn.files[order[0]].name}, "
                f"of the same animation, is {first[1]}x{first[0]}"
            )
