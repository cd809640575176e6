import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from train.conf import LossConfig, LrSchedule, OptimConfig, Weighting
from train.ema import Ema, ema_decay
from train.loop import train
from train.loss import add_noise, level_weight, sample_error, training_target
from train.schedule import learning_rate


def test_rate_rises_then_falls_to_its_floor() -> None:
    cfg = OptimConfig(lr=1.0, warmup_images=100, min_lr_ratio=0.1)
    rates = [
        learning_rate(n, total_images=1100, batch_size=64, cfg=cfg) for n in range(0, 1101, 50)
    ]
    assert rates[0] == 0.0
    assert rates[1] == 0.5
    assert rates[2] == 1.0
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[-1] == pytest.approx(0.1)
    assert learning_rate(600, total_images=1100, batch_size=64, cfg=cfg) == pytest.approx(0.55)
    constant = OptimConfig(lr=1.0, schedule=LrSchedule.constant)
    assert learning_rate(10**9, total_images=1100, batch_size=64, cfg=constant) == 1.0


@pytest.mark.parametrize("prediction", ["epsilon", "x0", "v"])
@pytest.mark.parametrize(
    ("weighting", "in_x0"),
    [
        (Weighting.min_snr, lambda snr: snr.clamp(max=5.0)),  # arXiv 2303.09556, Eq. 8
        (Weighting.debiased, lambda snr: snr.sqrt()),  # arXiv 2310.08442: 1 / sqrt(SNR) in epsilon
    ],
    ids=["min_snr", "debiased"],
)
def test_a_weighting_counts_the_same_error_in_x0(
    prediction: str, weighting: Weighting, in_x0: Callable[[Tensor], Tensor]
) -> None:
    """Whatever is predicted, the weighted error is a share of the error of x0."""
    alpha_bar = torch.linspace(0.01, 0.99, 9)
    x0, eps = torch.randn(9, 2, 3, 3), torch.randn(9, 2, 3, 3)
    x = add_noise(x0, eps, alpha_bar)
    wrong_x0 = x0 + 0.1 * torch.randn_like(x0)
    # The answer that amounts to `wrong_x0`, by x = sqrt(a) x0 + sqrt(1 - a) eps.
    a = alpha_bar.reshape(-1, 1, 1, 1)
    wrong_eps = (x - a.sqrt() * wrong_x0) / (1 - a).sqrt()
    answer = training_target(prediction, wrong_x0, wrong_eps, alpha_bar)
    target = training_target(prediction, x0, eps, alpha_bar)
    cfg = LossConfig(weighting=weighting)
    error = sample_error(answer, target, None) * level_weight(prediction, alpha_bar, cfg)
    expected = (wrong_x0 - x0).square().mean(dim=(1, 2, 3)) * in_x0(alpha_bar / (1 - alpha_bar))
    torch.testing.assert_close(error, expected, rtol=1e-3, atol=1e-5)


def test_debiased_is_one_over_the_root_of_snr_in_epsilon() -> None:
    weight = level_weight("epsilon", torch.tensor([0.2]), LossConfig(weighting=Weighting.debiased))
    assert float(weight) == pytest.approx(1 / math.sqrt(0.2 / 0.8))


@pytest.mark.parametrize(
    "cfg", [LossConfig(min_snr_gamma=0.0), LossConfig(weighting=Weighting.none)]
)
def test_without_a_weighting_all_levels_count_alike(cfg: LossConfig) -> None:
    assert torch.equal(level_weight("v", torch.tensor([0.0, 0.9]), cfg), torch.ones(2))


def test_noise_keeps_variance() -> None:
    x = add_noise(torch.randn(4, 4, 64, 64), torch.randn(4, 4, 64, 64), torch.full((4,), 0.3))
    assert float(x.var()) == pytest.approx(1.0, abs=0.05)


def test_half_of_the_old_average_is_left_after_a_half_life() -> None:
    weights = {"w": torch.ones(3)}
    ema = Ema(weights, half_life_images=1000)
    weights["w"].zero_()
    for step in range(10):
        ema.update(10**6 + (step + 1) * 100, batch_size=100)
    torch.testing.assert_close(ema.tensors["w"], torch.full((3,), 0.5))


@given(st.integers(1, 10**7), st.integers(1, 10**5))
def test_decay_is_a_share_and_young_runs_forget_faster(num_images: int, half_life: int) -> None:
    young = ema_decay(num_images, batch_size=64, half_life_images=half_life)
    old = ema_decay(num_images * 2, batch_size=64, half_life_images=half_life)
    assert 0.0 <= young <= old < 1.0
    assert math.isfinite(young)


class Steps:
    def __init__(self, start: int) -> None:
        self.num_images = start

    def step(self, batches: object) -> None:
        self.num_images += 8


class Seen:
    def __init__(self, steps: Steps) -> None:
        self.steps = steps
        self.events: list[tuple[str, int]] = []

    def log(self) -> None:
        self.events.append(("log", self.steps.num_images))

    def validate(self) -> None:
        self.events.append(("validate", self.steps.num_images))

    def sample(self) -> None:
        self.events.append(("sample", self.steps.num_images))

    def save(self) -> None:
        self.events.append(("save", self.steps.num_images))


EVERY = {"log": 16, "validate": 24, "sample": 0, "save": 32}


def run(start: int, stops: list[bool]) -> tuple[bool, Seen]:
    steps = Steps(start)
    seen = Seen(steps)
    calls = iter([*stops, *[False] * 100])
    finished = train(
        steps, iter(()), until=80, every=EVERY, events=seen, should_stop=lambda: next(calls)
    )
    return finished, seen


@given(st.integers(0, 9))
def test_a_stopped_loop_does_what_a_straight_one_does(stop_after: int) -> None:
    _, straight = run(0, [])
    finished, first = run(0, [False] * stop_after + [True])
    assert finished == (first.steps.num_images >= 80)
    _, second = run(first.steps.num_images, [])
    both = [*first.events, *second.events]
    assert [e for e in both if e[0] != "save"] == [e for e in straight.events if e[0] != "save"]
    assert set(straight.events) <= set(both)
    assert first.events[-1] == ("save", first.steps.num_images)
