from collections.abc import Sequence
from typing import overload

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from eval.batches import batches, factor

shapes = st.lists(st.tuples(st.integers(8, 70), st.integers(8, 70)), max_size=40)


class Files(Sequence[np.ndarray]):  # type: ignore[type-arg]
    """Pictures made when asked for, one at a time."""

    def __init__(self, sizes: list[tuple[int, int]]) -> None:
        self.sizes = sizes

    def __len__(self) -> int:
        return len(self.sizes)

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...  # type: ignore[type-arg]
    @overload
    def __getitem__(self, index: slice) -> Sequence[np.ndarray]: ...  # type: ignore[type-arg]
    def __getitem__(self, index: int | slice) -> object:
        assert not isinstance(index, slice), "a slice would read them all"
        return np.zeros((*self.sizes[index], 4), dtype=np.uint8)


@given(shapes, st.sampled_from([1, 64]))
def test_each_picture_is_in_one_batch_of_its_size(
    sizes: list[tuple[int, int]], at_least_px: int
) -> None:
    most_px = 20_000
    files = Files(sizes)
    found = [list(b) for b in batches(files, at_least_px=at_least_px, most_px=most_px)]
    assert sorted(i for batch in found for i in batch) == list(range(len(sizes)))
    for batch in found:
        (size,) = {sizes[i] for i in batch}
        area = size[0] * size[1] * factor(*size, at_least_px) ** 2
        assert len(batch) == 1 or len(batch) * area <= most_px


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 300))
def test_the_least_factor_is_taken(height: int, width: int, at_least_px: int) -> None:
    by = factor(height, width, at_least_px)
    assert by * min(height, width) >= at_least_px
    assert by == 1 or (by - 1) * min(height, width) < at_least_px
