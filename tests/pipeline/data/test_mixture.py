"""Several sets in one stream."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import InputError
from pipeline.core.seeds import derive_permutation
from pipeline.data.conf import DataConfig, MoreData, PrepareConfig, SourceConfig, SourceKind
from pipeline.data.dataset import Dataset
from pipeline.data.mixture import Mixture, Part, join_sets, told_shares
from pipeline.data.prepare import prepare

PARTS = st.lists(
    st.builds(Part, num_samples=st.integers(1, 9), weight=st.integers(1, 4)), min_size=1, max_size=4
)


@settings(deadline=None)
@given(PARTS, st.integers(0, 3))
def test_every_round_has_the_weights_and_every_epoch_every_image_once(
    parts: list[Part], seed: int
) -> None:
    total = sum(part.weight for part in parts)
    rounds = 36
    stream = [Mixture(parts, run_seed=seed).at(i) for i in range(rounds * total)]
    first = 0
    for number, part in enumerate(parts):
        for start in range(0, len(stream), total):
            assert sum(p == number for p, _ in stream[start : start + total]) == part.weight or (
                len(parts) == 1
            )
        seen = Counter(sample for p, sample in stream if p == number)
        # 36 rounds are some whole epochs and a rest; nothing is seen twice more than another.
        epochs, rest = divmod(rounds * part.weight, part.num_samples)
        assert set(seen) <= set(range(first, first + part.num_samples))
        assert all(epochs <= seen[first + i] <= epochs + 1 for i in range(part.num_samples))
        assert sum(seen[first + i] - epochs for i in range(part.num_samples)) == rest
        first += part.num_samples


@given(PARTS, st.integers(0, 500))
def test_a_position_says_the_same_whenever_it_is_asked(parts: list[Part], index: int) -> None:
    used = Mixture(parts, run_seed=1)
    for other in (index + 300, 0, 77, index + 1):
        used.at(other)
    assert Mixture(parts, run_seed=1).at(index) == used.at(index)


def test_one_set_alone_is_shuffled_as_it_always_was() -> None:
    mixture = Mixture([Part(num_samples=7, weight=3)], run_seed=2)
    order = derive_permutation(2, "shuffle", 1, size=7)
    assert [mixture.at(7 + i) for i in range(7)] == [(0, int(i)) for i in order]


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("other") / "set"
    cfg = PrepareConfig(
        source=SourceConfig(kind=SourceKind.procedural, num_images=8),
        out=out, seed=5, validation_fraction=0.0, size_px=16, flip_ok=False,
    )  # fmt: skip
    assert prepare(cfg, should_stop=lambda: False).finished
    return out


def test_sets_are_put_one_after_the_other(smoke_data: Path) -> None:
    dataset = Dataset.open(smoke_data)
    again = MoreData(path=smoke_data, weight=2, trigger="a sprite", loss_weight=0.5)
    cfg = DataConfig(path=smoke_data, trigger="mine", weight=3, more=[again])
    split, parts, told = join_sets(cfg, dataset)
    own = dataset.split("train")
    assert len(split) == 2 * len(own)
    for i in (0, 1, len(own) - 1):
        assert split.png_bytes(i) == split.png_bytes(len(own) + i) == own.png_bytes(i)
    assert split.captions == own.captions * 2
    assert [part.trigger for part in parts] == ["mine", "a sprite"]
    assert [part.weight for part in parts] == [3, 2]
    assert [part.loss_weight for part in parts] == [1.0, 0.5]
    lines = list(told_shares(cfg, parts))
    assert "3 of 5 images" in lines[0]
    assert f"about {-(-len(own) * 5 // 2)} images" in lines[1]
    changed = replace(cfg, more=[replace(again, weight=1)])
    assert join_sets(changed, dataset)[2] != told
    assert join_sets(DataConfig(path=smoke_data), dataset)[2] == []


def test_a_set_that_does_not_fit_is_named(smoke_data: Path, other: Path, tmp_path: Path) -> None:
    for path, word in ((other, "16 px"), (tmp_path, "^data.more: .*dataset.json")):
        cfg = DataConfig(path=smoke_data, more=[MoreData(path=path)])
        with pytest.raises(InputError, match=word):
            join_sets(cfg, Dataset.open(smoke_data))
    for changes in ({"weight": 0}, {"loss_weight": -1.0}):
        with pytest.raises(ValueError, match="data.more"):
            MoreData(path=other, **changes)  # type: ignore[arg-type]
