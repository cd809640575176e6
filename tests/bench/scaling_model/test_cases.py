import dataclasses

import pytest

from bench.record import BenchResult, Row, here
from bench.scaling_model.assume import Assumptions
from bench.scaling_model.cases import DRAWINGS, NUM_STEPS, TRAININGS, drawing, roofline_s, training
from bench.scaling_model.counts import (
    adapt,
    count_call,
    count_step,
    count_vae,
    gradient_bytes,
    pixelnano_unet,
    sdxl_unet,
    sdxl_vae,
)
from bench.scaling_model.table import GPUS, describe, predict_all, rows_of
from pipeline.core.errors import InputError
from pipeline.models.conf import LoraConfig

ASSUMED = Assumptions()
SDXL, FULL, NANO = TRAININGS


def bench_file(**changes):
    row = Row(name="train_step.sdxl_lora", unit="ms", median=400.0, p95=433.0)
    row = dataclasses.replace(row, **changes)
    return BenchResult(bench="throughput", conditions=here(device="cuda"), rows=(row,))


def by_name(tables):
    return {table.name: table for table in tables}


def test_pixelnano_costs_what_is_written_down():
    unet = pixelnano_unet()
    call = count_call(unet)
    adapt(unet, LoraConfig())
    step = count_step(unet)
    assert step.flop == pytest.approx(NANO.flop_per_image, rel=1e-5)
    assert step.calls == NANO.calls
    assert gradient_bytes(unet) == (NANO.gradient_bytes, NANO.num_tensors)
    work = DRAWINGS[1]
    assert 2 * NUM_STEPS * call.flop == pytest.approx(work.flop_per_image, rel=1e-5)
    assert work.calls == NUM_STEPS * call.calls


@pytest.mark.slow
def test_sdxl_costs_what_is_written_down():
    unet, vae = sdxl_unet(), sdxl_vae()
    call, full = count_call(unet), count_step(unet)
    text_bytes, text_tensors = 4 * (123_060_480 + 694_659_840), 196 + 517
    num_bytes, num_tensors = gradient_bytes(unet)
    encoding = count_vae(vae, encodes=True, size_px=1024)
    decoding = count_vae(vae, encodes=False, size_px=1024)
    assert (num_bytes + text_bytes, num_tensors + text_tensors) == (
        FULL.gradient_bytes,
        FULL.num_tensors,
    )
    assert FULL.flop_per_image == pytest.approx(full.flop + encoding.flop + 0.333478e12, rel=1e-5)
    adapt(unet, LoraConfig())
    step = count_step(unet)
    assert SDXL.flop_per_image == pytest.approx(step.flop + encoding.flop + 0.111162e12, rel=1e-5)
    assert gradient_bytes(unet) == (SDXL.gradient_bytes, SDXL.num_tensors)
    work = DRAWINGS[0]
    assert work.flop_per_image == pytest.approx(2 * NUM_STEPS * call.flop + decoding.flop, rel=1e-5)
    assert work.calls == NUM_STEPS * call.calls + decoding.calls


def test_the_roofline_is_the_longer_of_work_and_launches():
    assert roofline_s(1745e12, 1, share=1.0) == 1.0
    assert roofline_s(1745e12, 1, share=0.5) == 2.0
    assert roofline_s(1.0, 10**6, share=1.0) == pytest.approx(3.8)


def test_mlperfs_rate_is_met_by_the_share_that_was_taken_from_it():
    flop = 2 * 20 * 6.761236e12 + 10.470393e12
    fp8_flop_per_s = 3432.5e12
    assert fp8_flop_per_s * ASSUMED.matmul_share / flop == pytest.approx(31.78 / 8, rel=1e-2)


def test_what_does_not_fit_is_accumulated_and_launched_again():
    twice = training(NANO, ASSUMED, batch_size=2 * NANO.batch_size)
    once = training(NANO, ASSUMED, batch_size=NANO.batch_size)
    assert twice.host_s == pytest.approx(2 * once.host_s)


def test_every_prediction_begins_at_one_gpu_and_falls():
    for table in predict_all(ASSUMED, num_images=100_000):
        shares = [line.efficiency for line in table.lines]
        assert [line.num_gpus for line in table.lines] == list(GPUS)
        assert shares[0] == 1
        assert shares == sorted(shares, reverse=True)
        assert all(line.best_efficiency >= line.efficiency for line in table.lines)
        assert "not measured on GPU" in describe(table)


def test_predictions_are_places_to_fill():
    rows = rows_of(predict_all(ASSUMED, num_images=1000))
    assert len({row.name for row in rows}) == len(rows)
    assert all(row.median is None and row.ceiling > 0 for row in rows)


def test_a_measured_step_takes_the_place_of_the_roofline():
    told = by_name(predict_all(ASSUMED, num_images=1000, measured=bench_file()))
    assert told["sdxl_lora.weak"].lines[0].time_s == pytest.approx(0.4)
    assert "not measured" not in told["sdxl_lora.weak"].basis
    # 512 images as 64 batches of 8.
    assert told["sdxl_lora.strong"].lines[0].time_s == pytest.approx(64 * 0.4)
    assert "not measured" in told["sdxl_full.weak"].basis


def test_a_measured_spread_goes_with_its_step():
    row = bench_file().rows[0]
    assert training(SDXL, ASSUMED, batch_size=8, row=row).spread_s == pytest.approx(0.033 / 1.645)
    assert drawing(DRAWINGS[0], ASSUMED, row=row).spread_s == pytest.approx(0.033 / 1.645)


@pytest.mark.parametrize(
    "changes", [{"unit": "img/s"}, {"median": None}, {"median": -1.0}, {"name": "train_step.flux"}]
)
def test_a_measured_row_that_is_no_time_is_refused(changes):
    with pytest.raises(InputError, match="train_step"):
        predict_all(ASSUMED, num_images=1000, measured=bench_file(**changes))
