"""Each bench on a tiny data set: that it measures what it says, not how fast."""

from pathlib import Path

import numpy as np
import pytest
import torch

from bench import loader, pixels, scaling, storage, throughput, trainstep
from bench.conf import BenchName
from bench.ranks import on_ranks
from bench.record import Row
from bench.run import run_bench
from pipeline.core.errors import InputError
from pipeline.core.world import World
from pipeline.generate.draw import load_drawer
from pipeline.models.conf import LoraUse


def never():
    return False


def named(rows):
    assert all(isinstance(row, Row) for row in rows)
    return {row.name: row for row in rows}


def test_storage_leaves_nothing_behind(settings, tmp_path):
    cfg = settings(BenchName.storage, "num_images=5", "large_file_mib=8")
    rows, said = storage.measure(cfg, tmp_path, never)
    assert list(tmp_path.iterdir()) == []
    assert all(row.median > 0 for row in rows)
    assert named(rows)["small.write"].ceiling == named(rows)["small.plain_write"].median
    assert said


@pytest.mark.parametrize("name", [loader.OURS, loader.DECODING, loader.RIVAL, loader.READY])
def test_every_loader_gives_a_cold_and_the_warm_epochs(settings, name):
    cfg = settings(BenchName.loader, "batch_sizes=[8]", "repeats=2")
    rates = loader._time_one(name, cfg, 2)
    assert len(rates) == 3
    assert min(rates) > 0


def test_the_loaders_verdict_is_about_the_target(settings):
    row = Row(name="ours.1x.bytes", unit="GB/s", median=1.5)
    assert "reached" in loader._verdict(row, 1, 1.0)
    assert "missed" in loader._verdict(row, 1, 2.0)


def test_the_training_loop_is_held_against_the_bare_step(settings):
    cfg = settings(BenchName.trainstep, "batch_sizes=[2]")
    rows, _ = trainstep.measure(cfg, World(), never)
    told = named(rows)
    assert told["ours"].ceiling == told["bare"].median
    assert told["ours"].fraction == pytest.approx(told["ours"].median / told["bare"].median, 1e-3)


@pytest.mark.filterwarnings("ignore:Already found a `peft_config`:UserWarning")
def test_throughput_measures_every_way_at_every_batch(settings):
    cfg = settings(
        BenchName.throughput,
        "batch_sizes=[1,2]",
        "num_images=4",
        "num_loras=2",
        "sampler.num_steps=1",
        "target=0.001",
    )
    rows, said = throughput.measure(cfg, World(), never)
    told = named(rows)
    for way in throughput.WAYS:
        for size in (1, 2):
            assert told[f"{way}.batch{size}.rate"].median > 0
            assert told[f"{way}.batch{size}.latency"].repeats == 4 // size
    # No GPU here: neither its memory nor its energy may have a figure.
    assert told["base.batch1.vram_peak"].median is None
    assert told["base.batch1.energy"].median is None
    assert {"run.bare", "run.plain", "run.ours"} <= told.keys()
    assert sum("missed" in line for line in said) == len(throughput.WAYS) * 2


def test_hot_swapping_goes_through_all_adapters_and_several_adds_them_up():
    uses = [LoraUse(path=Path("a")), LoraUse(path=Path("b"))]
    assert throughput.variants_of("hot_swap", uses) == [[uses[0]], [uses[1]]]
    assert throughput.variants_of("several", uses) == [uses]
    assert throughput.variants_of("base", uses) == [[]]


def test_the_slowest_rank_ends_a_repeat():
    assert scaling.rates_of([[1.0, 2.0], [2.0, 1.0]], images_a_rank=8) == [8.0, 8.0]


def test_the_milestone_is_computed():
    assert "not met" in scaling.gain_sentence("train", 1.69, 1.7)
    assert "not met" not in scaling.gain_sentence("train", 1.7, 1.7)


def where(world, told):
    import torch.distributed as dist

    return world.rank, world.world_size, told, dist.is_initialized()


@pytest.mark.parametrize("num_ranks", [1, 2])
def test_ranks_know_their_place_and_one_alone_forms_no_group(num_ranks):
    told = on_ranks(num_ranks, where, "x", device="cpu", num_threads=1)
    assert told == [(rank, num_ranks, "x", num_ranks > 1) for rank in range(num_ranks)]


def sprite():
    rng = np.random.Generator(np.random.Philox(3))
    return rng.choice(np.array([0, 90, 200], np.uint8), (32, 32, 3))


def test_what_is_the_same_or_moved_is_recovered_and_what_is_not_reduced_is_not():
    native = sprite()
    assert pixels.recovered(native, native) == (1.0, 1.0)
    moved = np.pad(native, ((2, 0), (0, 1), (0, 0)))
    assert pixels.recovered(moved, native) == (1.0, 1.0)
    assert pixels.recovered(np.kron(native, np.ones((3, 3, 1), np.uint8)), native) == (0.0, 0.0)
    other = native.copy()
    other[:16] = 255 - other[:16]
    assert pixels.recovered(other, native)[0] < 0.75


@pytest.mark.parametrize("bench", [b for b in BenchName if b is not BenchName.scaling])
def test_a_bench_that_is_told_to_stop_measures_nothing(settings, tmp_path, bench):
    cfg = settings(bench, "batch_sizes=[1]", "num_images=2", "num_loras=1")
    if bench is BenchName.pixels:
        cfg.data.path = tmp_path
        with pytest.raises(InputError):
            run_bench(cfg, world=World(), folder=tmp_path, should_stop=lambda: True)
        return
    assert run_bench(cfg, world=World(), folder=tmp_path, should_stop=lambda: True) is None


def test_swapping_goes_on_from_repeat_to_repeat(settings, monkeypatch):
    served = []
    monkeypatch.setattr(throughput, "serve", lambda d, f, batch: served.append(batch[0].variant))
    cfg = settings(BenchName.throughput, "num_images=2", "repeats=3", "sampler.num_steps=1")
    run = throughput.generation(cfg, batch_size=1)
    drawer = load_drawer(run, device="cpu")
    throughput._requests(cfg, drawer, run, batch_size=2, num_variants=2, should_stop=never)
    assert served == [0, 1, 0]


def test_rival_and_bound_compute_as_ours_does(settings):
    cfg = settings(BenchName.throughput, "precision=bf16", "num_images=1", "sampler.num_steps=1")
    run = throughput.generation(cfg, batch_size=1)
    drawer = load_drawer(run, device="cpu")
    seen = []
    drawer.model.pipeline.unet.register_forward_hook(
        lambda *_: seen.append(torch.is_autocast_enabled("cpu"))
    )
    throughput.bare(run, drawer, num_calls=1)
    assert seen == [True]
