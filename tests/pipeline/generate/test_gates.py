from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import InputError
from pipeline.core.rundir import RunDir
from pipeline.generate.claims import Claims
from pipeline.generate.conf import GateConfig
from pipeline.generate.gates import HASH_BITS, Looks, NearIndex, due, looks_of
from pipeline.generate.ledger import Ledger
from pipeline.generate.work import Batch

HASHES = st.integers(0, 2**HASH_BITS - 1)


@given(
    HASHES,
    st.lists(st.lists(st.integers(0, HASH_BITS - 1), max_size=40, unique=True), max_size=8),
    st.integers(0, 31),
)
def test_near_hashes_are_found_exactly(base: int, flips: list[list[int]], max_bits: int) -> None:
    index = NearIndex(max_bits)
    added: list[int] = []
    for bits in flips:
        value = base
        for bit in bits:
            value ^= 1 << bit
        near = any((value ^ other).bit_count() <= max_bits for other in added)
        assert index.has_near(value) == near
        index.add(value)
        added.append(value)


def sprite(colour: tuple[int, int, int], seed: int = 0) -> np.ndarray:  # type: ignore[type-arg]
    generator = np.random.default_rng(seed)
    image = np.zeros((32, 32, 4), np.uint8)
    inside = generator.random((8, 8)).repeat(4, 0).repeat(4, 1) < 0.5
    image[inside] = (*colour, 255)
    return image


def test_the_hash_sees_shape_and_colour_and_forgives_a_touch() -> None:
    red, blue = looks_of(sprite((200, 30, 30))), looks_of(sprite((30, 30, 200)))
    touched = sprite((200, 30, 30))
    touched[10:12, 10:12] ^= 24
    other = looks_of(sprite((200, 30, 30), seed=1))

    def bits(looks: Looks) -> int:
        return (looks.hash ^ red.hash).bit_count()

    assert bits(looks_of(touched)) <= 8
    assert bits(blue) > 31, "a red potion is no duplicate of a blue one"
    assert bits(other) > 31
    assert 0 < red.coverage < 1


@given(st.data())
def test_rounds_draw_again_what_is_turned_away_and_nothing_else(data: st.DataObject) -> None:
    """Against the rule spelled out: accepted ones stay, the lower index goes first."""
    hashes = st.sampled_from([0, 1, 3, 2**200, 2**200 + 1, 2**64 - 1])
    count = data.draw(st.integers(1, 8))
    rounds = [
        [Looks(data.draw(hashes), data.draw(st.sampled_from([0.0, 0.5]))) for _ in range(count)]
        for _ in range(3)
    ]
    cfg = GateConfig(max_redraws=2, min_coverage=0.1, near_duplicate_bits=1)
    accepted: list[int] = []
    waiting = list(range(count))
    for attempt in range(3):
        found = due(cfg, range(count), attempt=attempt, looks=lambda i, a: rounds[a][i])
        assert found == waiting
        left = []
        for index in waiting:
            seen = rounds[attempt][index]
            near = any((seen.hash ^ other).bit_count() <= 1 for other in accepted)
            if seen.coverage < 0.1 or near:
                left.append(index)
            else:
                accepted.append(seen.hash)
        waiting = left


def batches(count: int) -> list[Batch]:
    return [Batch(f"0-{i:09d}", 0, (i,)) for i in range(count)]


@given(st.integers(0, 12), st.integers(1, 4), st.randoms(use_true_random=False))
def test_every_batch_is_claimed_once(
    tmp_path_factory: pytest.TempPathFactory, count: int, owners: int, random: object
) -> None:
    folder = tmp_path_factory.mktemp("claims")
    work = batches(count)
    walks = [
        Claims(folder, owner=str(i)).walk(
            work, lambda _: False, refresh=lambda: None, first=i * count // owners
        )
        for i in range(owners)
    ]
    got: list[str] = []
    while walks:
        walk = random.choice(walks)  # type: ignore[attr-defined]
        try:
            got.append(next(walk).name)
        except StopIteration:
            walks.remove(walk)
    assert sorted(got) == [batch.name for batch in work]


def test_old_claims_are_taken_over_and_fresh_ones_are_not(tmp_path: Path) -> None:
    work = batches(3)
    done: set[str] = set()
    dead = Claims(tmp_path, owner="dead").walk(
        work, lambda b: b.name in done, refresh=lambda: None, first=0
    )
    done.add(next(dead).name)
    next(dead)
    patient = Claims(tmp_path, owner="patient", stale_s=60.0)
    assert [
        b.name for b in patient.walk(work, lambda b: b.name in done, refresh=lambda: None, first=0)
    ] == [work[2].name]
    done.add(work[2].name)
    eager = Claims(tmp_path, owner="eager", stale_s=0.0)
    assert [
        b.name for b in eager.walk(work, lambda b: b.name in done, refresh=lambda: None, first=0)
    ] == [work[1].name]
    # A process that is started again goes on with what it had claimed itself.
    again = Claims(tmp_path, owner="eager", stale_s=60.0)
    assert [
        b.name for b in again.walk(work, lambda b: b.name in done, refresh=lambda: None, first=0)
    ] == [work[1].name]


def record(index: int, attempt: int = 0, num_bytes: int = 3) -> bytes:
    return (
        f'{{"index": {index}, "attempt": {attempt}, "hash": "0f", "coverage": 0.5, "passes": true, '
        f'"num_bytes": {num_bytes}, "sha256": "s"}}\n'
    ).encode()


def test_a_ledger_grows_with_its_manifests_and_forgets_what_is_gone(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    run.images.mkdir()
    ledger = Ledger(run)
    ledger.refresh()
    assert len(ledger) == 0
    run.manifest(0).write_bytes(record(0) + record(1)[:-9])
    ledger.refresh()
    assert (ledger.has(0, 0), ledger.has(1, 0)) == (True, False)
    run.manifest(0).write_bytes(record(0) + record(1))
    run.manifest(1).write_bytes(record(2) + record(2, attempt=1))
    ledger.refresh()
    assert ledger.missing(range(4), 0) == [3]
    assert (ledger.attempt(2), len(ledger)) == (1, 3)
    for index, data in ((0, b"abc"), (1, b"ab")):
        (run.images / f"{index:09d}.png").write_bytes(data)
    ledger.drop_missing()
    assert ledger.missing(range(4), 0) == [1, 3]
    assert not ledger.has(2, 1), "its redraw is gone ..."
    assert ledger.has(2, 0), "... and why it was drawn again is still known"
    run.manifest(1).write_bytes(b'{"index": 0}\n')
    with pytest.raises(InputError, match="manifest-00001"):
        Ledger(run).refresh()
