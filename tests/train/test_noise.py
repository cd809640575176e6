"""Noise of a step, and what transparent pixels count: written-out sums, and many draws."""

from collections.abc import Iterator

import pytest
import torch
from accelerate.state import AcceleratorState
from torch import Tensor

from pipeline.core.noise import sample_noise
from pipeline.models.conf import FamilyName
from pipeline.models.registry import get_family
from train.conf import LossConfig
from train.loss import sample_error
from train.noise import training_noise


@pytest.fixture(autouse=True)
def fresh_accelerate() -> Iterator[None]:
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def noise(indices: list[int], shape: tuple[int, int, int], **changes: float) -> Tensor:
    return training_noise(LossConfig(**changes), run_seed=3, indices=indices, shape=shape)


def test_without_settings_it_is_the_noise_of_before() -> None:
    plain = sample_noise(3, "noise", [4, 9], shape=(2, 8, 8))
    assert torch.equal(noise([4, 9], (2, 8, 8)), plain)
    offset = sample_noise(3, "noise_offset", [4, 9], shape=(2, 1, 1))
    assert torch.equal(noise([4, 9], (2, 8, 8), noise_offset=0.1), plain + 0.1 * offset)


def test_pyramid_noise_is_the_sum_of_its_levels() -> None:
    d = 0.5
    expected = sample_noise(3, "noise", [7], shape=(1, 4, 6))[0, 0].clone()
    for level, (step, sides) in {1: (2, (2, 3)), 2: (4, (1, 2))}.items():
        coarse = sample_noise(3, f"pyramid_noise/{level}", [7], shape=(1, *sides))[0, 0]
        for y in range(4):
            for x in range(6):
                expected[y, x] += d**level * coarse[y // step, x // step]
    expected /= (1 + d**2 + d**4) ** 0.5
    torch.testing.assert_close(noise([7], (1, 4, 6), pyramid_noise=d)[0, 0], expected)


def test_pyramid_noise_has_unit_variance_and_reaches_far() -> None:
    drawn = noise(list(range(4000)), (1, 8, 8), pyramid_noise=0.7)[:, 0]
    torch.testing.assert_close(drawn.var(dim=0), torch.ones(8, 8), atol=0.1, rtol=0)
    # Opposite corners share the last level alone: covariance d^6 / (1 + d^2 + d^4 + d^6).
    shared = float((drawn[:, 0, 0] * drawn[:, 7, 7]).mean())
    assert shared == pytest.approx(0.7**6 / (1 + 0.7**2 + 0.7**4 + 0.7**6), abs=0.06)


def test_a_sample_does_not_depend_on_its_neighbours() -> None:
    together = noise([5, 6], (2, 8, 8), pyramid_noise=0.5, noise_offset=0.1)
    assert torch.equal(together[1:], noise([6], (2, 8, 8), pyramid_noise=0.5, noise_offset=0.1))


def test_colours_of_transparent_pixels_do_not_teach_but_alpha_does() -> None:
    family = get_family(FamilyName.pixelnano)
    alpha_B1HW = torch.zeros(1, 1, 4, 4)
    alpha_B1HW[..., :2] = 1.0
    weights = family.loss_weights(alpha_B1HW)
    for channel in range(4):
        for y, x in ((0, 0), (1, 3)):
            wrong = torch.zeros(1, 4, 4, 4)
            wrong[0, channel, y, x] = 2.0
            folded = family.encode_pixels(None, wrong, None)
            error = float(sample_error(folded, torch.zeros_like(folded), weights))
            # 8 opaque pixels of 3 colours, and 16 alphas, count 1 each.
            teaches = channel == 3 or x < 2
            assert error == pytest.approx(4.0 / (8 * 3 + 16) if teaches else 0.0)


def test_a_latent_cell_counts_as_the_mean_of_its_pixels() -> None:
    alpha_B1HW = torch.zeros(1, 1, 16, 8)
    alpha_B1HW[0, 0, :8, :4] = 1.0
    weights = get_family(FamilyName.sd15).loss_weights(alpha_B1HW)
    torch.testing.assert_close(weights, torch.tensor([[[[0.5], [0.0]]]]))
    answer = torch.tensor([3.0, 5.0]).reshape(1, 1, 2, 1).expand(1, 4, 2, 1)
    assert float(sample_error(answer, torch.zeros(1, 4, 2, 1), weights)) == 9.0
    nothing = torch.zeros(1, 1, 2, 1)
    assert float(sample_error(answer, torch.zeros(1, 4, 2, 1), nothing)) == 0.0


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"pyramid_noise": 1.0}, "loss.pyramid_noise"),
        ({"transparent_weight": -0.1}, "loss.transparent_weight"),
        ({"zero_terminal_snr": True}, "loss.weighting"),
    ],
)
def test_settings_out_of_range_are_named(changes: dict[str, float], key: str) -> None:
    with pytest.raises(ValueError, match=key):
        LossConfig(**changes)  # type: ignore[arg-type]
