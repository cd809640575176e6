import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.scaling_model.assume import Assumptions, assume
from bench.scaling_model.hardware import FOUR_NODES, GB, GIB, MIB, ONE_NODE
from bench.scaling_model.predict import (
    BUCKET_BYTES,
    FIRST_BUCKET_BYTES,
    Generating,
    Training,
    buckets,
    bus_bandwidth,
    dgx_all_reduce,
    efficiencies,
    expected_largest,
    generate_run,
    train_step,
)
from pipeline.core.errors import InputError

ASSUMED = Assumptions()
RANKS = st.integers(1, 1024)
NODES = st.sampled_from([1, 2, 4, 8, 16, 64, 512])

trainings = st.builds(
    Training,
    batch_size=st.integers(1, 64),
    compute_s=st.floats(1e-4, 10.0),
    host_s=st.floats(0.0, 1e-4),
    gradient_bytes=st.integers(4, 20 * GIB),
    num_tensors=st.integers(1, 3000),
    spread_s=st.floats(0.0, 0.5),
)
drawings = st.builds(
    Generating,
    batch_size=st.integers(1, 64),
    batch_s=st.floats(1e-3, 100.0),
    spread_s=st.floats(0.0, 5.0),
    start_s=st.floats(0.0, 100.0),
    tail_s_per_image=st.floats(0.0, 1e-2),
    weight_bytes=st.integers(0, 10 * GIB),
    image_bytes=st.integers(0, 10 * MIB),
)


def step(case, n, **changes):
    assumed = dataclasses.replace(ASSUMED, **changes)
    return train_step(case, n, all_reduce=dgx_all_reduce(assumed), assumed=assumed)


@pytest.mark.parametrize(
    ("count", "known"),
    [(1, 0.0), (2, 1 / math.sqrt(math.pi)), (3, 1.5 / math.sqrt(math.pi)), (10, 1.53875)],
)
def test_the_largest_of_some_normals_is_where_tables_have_it(count, known):
    assert expected_largest(count) == pytest.approx(known, abs=2e-4)


def test_the_largest_of_none_is_refused():
    with pytest.raises(ValueError, match="count"):
        expected_largest(0)


@given(st.integers(0, 30 * GIB))
def test_buckets_hold_every_byte_once(num_bytes):
    sizes = buckets(num_bytes)
    assert sum(sizes) == num_bytes
    assert sizes[0] <= FIRST_BUCKET_BYTES
    assert all(0 < size <= BUCKET_BYTES for size in sizes[1:])


@pytest.mark.parametrize("curve", [ONE_NODE, FOUR_NODES])
def test_all_reduce_takes_what_was_published_where_it_was_published(curve):
    n = curve.num_ranks
    for size, rate in curve.gb_per_s.items():
        expected_s = 2 * (n - 1) / n * size / (rate * GB)
        assert dgx_all_reduce(ASSUMED)(size, n) == pytest.approx(expected_s)


def test_a_payload_below_the_first_published_takes_as_long_as_that():
    assert bus_bandwidth(ONE_NODE, MIB) == 36.0
    reduce = dgx_all_reduce(ASSUMED)
    assert reduce(4, 8) == pytest.approx(reduce(MIB, 8))


def test_each_doubling_of_nodes_beyond_four_adds_two_levels():
    reduce = dgx_all_reduce(Assumptions(hop_s=1.0))
    assert reduce(GIB, 512) - reduce(GIB, 64) == pytest.approx(2 * 3, abs=1e-2)
    assert reduce(GIB, 32) < 1


@given(trainings)
def test_one_rank_has_nobody_to_talk_to_or_wait_for(case):
    alone = step(case, 1)
    assert alone.step_s == case.compute_s
    assert alone.img_per_s == pytest.approx(case.batch_size / case.compute_s)


@given(trainings, NODES)
def test_a_step_takes_no_less_than_its_compute_and_its_last_bucket(case, n):
    told = step(case, n, overlap=1.0)
    assert told.step_s >= case.compute_s
    assert told.exposed_s >= dgx_all_reduce(ASSUMED)(buckets(case.gradient_bytes)[-1], n)


@given(trainings, NODES)
def test_efficiency_of_training_is_above_0_and_at_most_1(case, n):
    rates = [step(case, 1).img_per_s, step(case, n).img_per_s]
    assert 0 < efficiencies(rates, [1, n])[1] <= 1 + 1e-12


@given(trainings, NODES, st.floats(0.05, 1.0), st.floats(0.05, 1.0))
def test_more_bandwidth_never_makes_a_step_longer(case, n, one, other):
    less, more = sorted((one, other))
    # Where the host is the bound, the same sum is made of other parts: equal but for rounding.
    longest_s = step(case, n, fabric_share=less).step_s * (1 + 1e-12)
    assert step(case, n, fabric_share=more).step_s <= longest_s


@given(trainings, NODES, st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_hiding_more_of_all_reduce_never_makes_a_step_longer(case, n, one, other):
    less, more = sorted((one, other))
    longest_s = step(case, n, overlap=less).step_s * (1 + 1e-12)
    assert step(case, n, overlap=more).step_s <= longest_s


def test_a_vote_is_free_while_the_gpu_still_works_and_costs_where_it_does_not():
    case = Training(
        batch_size=1, compute_s=1.0, host_s=0.1, gradient_bytes=4, num_tensors=1, spread_s=0.0
    )
    assert step(case, 512, vote_hop_s=1e-6).vote_s == 0
    eager = dataclasses.replace(case, host_s=1.0)
    expected_s = 2 * 511 * 1e-3 - (step(eager, 512, vote_hop_s=0.0).step_s - 1.0)
    assert step(eager, 512, vote_hop_s=1e-3).vote_s == pytest.approx(expected_s)
    silent = dataclasses.replace(eager, votes=False)
    assert step(silent, 512, vote_hop_s=1.0).vote_s == 0


@given(drawings, RANKS, st.integers(1, 10**6))
def test_efficiency_of_generation_is_above_0_and_at_most_1(case, n, num_images):
    alone = generate_run(case, 1, num_images=num_images, assumed=ASSUMED)
    told = generate_run(case, n, num_images=num_images, assumed=ASSUMED)
    assert 0 < efficiencies([alone.img_per_s, told.img_per_s], [1, n])[1] <= 1 + 1e-9


@given(drawings, RANKS, st.integers(1, 10**6))
def test_no_rank_draws_less_than_its_share(case, n, num_images):
    told = generate_run(case, n, num_images=num_images, assumed=ASSUMED)
    assert told.total_s * n >= case.batch_s * num_images / case.batch_size * (1 - 1e-9)
    assert told.busy_ranks <= n


PLAIN = Generating(batch_size=16, batch_s=2.0, spread_s=0.0, start_s=1.0, tail_s_per_image=0.0)


@pytest.mark.parametrize(
    ("num_images", "n", "batches"),
    [(16, 1, 1), (17, 1, 2), (17, 2, 1), (33, 2, 2), (1600, 100, 1), (1601, 100, 2)],
)
def test_whole_batches_are_dealt(num_images, n, batches):
    assumed = Assumptions(creates_per_s=1e12)
    told = generate_run(PLAIN, n, num_images=num_images, assumed=assumed)
    assert told.total_s == pytest.approx(1.0 + 2.0 * batches)


def test_a_hundred_images_leave_most_of_512_gpus_idle():
    told = generate_run(PLAIN, 512, num_images=100, assumed=ASSUMED)
    assert told.busy_ranks == 7
    assert told.bound_by == "too few batches"


def test_storage_bounds_what_drawing_does_not():
    case = dataclasses.replace(PLAIN, image_bytes=10**9)
    told = generate_run(case, 512, num_images=8000, assumed=ASSUMED)
    assert told.storage_s == pytest.approx(1000.0)  # 8 TB at 8 GB/s
    assert told.bound_by == "storage"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ("overlap=2", "overlap"),
        ("speed=2", "speed"),
        ("hop_s=fast", "fast"),
        ("hop_s=nan", "hop_s"),
        ("creates_per_s=0", "creates_per_s"),
        ("creates_per_s=inf", "creates_per_s"),
        ("start_s=-1", "start_s"),
    ],
)
def test_a_wrong_assumption_is_named(change, word):
    with pytest.raises(InputError, match=word):
        assume([change])


def test_an_assumption_can_be_changed():
    assert assume(["overlap=0.5", "hop_s=1e-6"]) == Assumptions(overlap=0.5, hop_s=1e-6)
