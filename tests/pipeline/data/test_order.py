from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import InputError
from pipeline.core.world import World
from pipeline.data.conf import DataConfig
from pipeline.data.order import Order, micro_batches


def order(n: int, **changes: object) -> Order:
    from pathlib import Path

    return Order(n, DataConfig(path=Path("x"), **changes), flip_ok=True, run_seed=5)  # type: ignore[arg-type]


@given(st.sampled_from([1, 2, 3, 4]), st.sampled_from([1, 2]), st.integers(0, 5), st.integers(1, 3))
def test_a_step_covers_the_same_positions_on_any_number_of_ranks(
    world_size: int, accumulation: int, start_step: int, steps: int
) -> None:
    batch_size, start = 24, start_step * 24
    seen = []
    for rank in range(world_size):
        spans = micro_batches(
            start,
            batch_size=batch_size,
            num_accumulation_steps=accumulation,
            world=World(rank=rank, world_size=world_size),
        )
        seen += [i for span in islice(spans, steps * accumulation) for i in span]
    assert sorted(seen) == list(range(start, start + steps * batch_size))


@given(st.integers(0, 400))
def test_a_position_says_the_same_whenever_it_is_asked(index: int) -> None:
    fresh, used = order(37), order(37)
    for other in (index + 100, 0, index + 1):
        used.draw(other)
    assert fresh.draw(index) == used.draw(index)


def test_an_epoch_sees_every_image_once() -> None:
    stream = order(37)
    for epoch in range(3):
        ids = [stream.draw(epoch * 37 + i).sample_id for i in range(37)]
        assert sorted(ids) == list(range(37))


def test_flips_and_dropout_happen_at_their_rates() -> None:
    draws = [order(50, caption_dropout=0.25).draw(i) for i in range(4000)]
    assert abs(sum(d.is_flipped for d in draws) / 4000 - 0.5) < 0.03
    assert abs(sum(not d.has_caption for d in draws) / 4000 - 0.25) < 0.03
    assert not any(order(50, flip=False).draw(i).is_flipped for i in range(100))


def test_an_uneven_batch_is_refused_with_its_keys() -> None:
    spans = micro_batches(
        0, batch_size=10, num_accumulation_steps=2, world=World(rank=0, world_size=4)
    )
    with pytest.raises(InputError, match="batch_size: 10"):
        next(spans)
