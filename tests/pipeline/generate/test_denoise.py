from typing import Any

import numpy as np
import pytest
import torch

from pipeline.generate.conf import SamplerConfig
from pipeline.generate.denoise import Denoiser, to_pixels
from pipeline.generate.sample import to_bytes
from pipeline.models.conf import FamilyName, ModelConfig
from pipeline.models.pixelnano import ASSETS
from pipeline.models.protocol import LoadedModel
from pipeline.models.registry import load_model
from pipeline.pixels.restore import Candidate

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    return load_model(ModelConfig(family=FamilyName.pixelnano, path=ASSETS), device="cpu")


def sprite(seed: int, channels: int = 4) -> Pixels:
    rng = np.random.default_rng(seed)
    image = np.zeros((32, 32, 4), dtype=np.uint8)
    image[6:26, 8:24, :3], image[6:26, 8:24, 3] = rng.integers(0, 256, 3), 255
    return image[..., :channels].copy()


def noisy(image: Pixels, seed: int) -> Pixels:
    grain = np.random.default_rng(seed).normal(0, 24, image.shape)
    colour = np.clip(image + grain, 0, 255).astype(np.uint8)[..., :3]
    return np.where(image[..., 3:] > 0, np.dstack([colour, image[..., 3]]), 0).astype(np.uint8)


def build(model: LoadedModel, strength: float, **more: Any) -> Denoiser:
    return Denoiser(model, sampler=SamplerConfig(num_steps=20), strength=strength, **more)


def test_bytes_go_in_as_they_come_out() -> None:
    image = torch.from_numpy(np.stack([sprite(0), noisy(sprite(1), 1)]))
    assert torch.equal(to_bytes(to_pixels(image)), image)


def test_a_picture_keeps_its_shape_and_alpha_and_does_not_depend_on_the_others(
    model: LoadedModel,
) -> None:
    images = [sprite(0), sprite(1), sprite(2, channels=3), sprite(3)[:20, :27]]
    denoise = build(model, 0.3)
    drawn = denoise(images, ["red gem", "", "floor", ""])
    for image, one in zip(images, drawn, strict=True):
        assert one.shape == image.shape
        assert not np.array_equal(one, image)
        if image.shape[2] == 4:
            assert np.array_equal(one[..., 3], image[..., 3])
    others = denoise([sprite(9), sprite(1)], ["red gem", ""])
    assert np.array_equal(others[1], drawn[1])


def test_strength_is_how_much_changes(model: LoadedModel) -> None:
    image = sprite(4)

    def change(strength: float) -> float:
        (one,) = build(model, strength)([image], ["shield"])
        return float(np.abs(one.astype(float) - image).mean())

    assert change(0.05) < change(0.3) < change(0.8)


def test_only_what_measures_better_is_kept(model: LoadedModel) -> None:
    truth = sprite(5)
    halves = (noisy(truth, 1), noisy(truth, 2))
    grained = Candidate(native_KLC=noisy(truth, 3), halves=halves, caption="")
    clean = Candidate(native_KLC=truth, halves=(truth, truth), caption="")
    unmeasured = Candidate(native_KLC=noisy(truth, 3), halves=None, caption="")
    gentle = build(model, 0.05, adds_noise=False).clean_up([grained, clean, unmeasured])
    assert [one.kept for one in gentle] == [True, False, False]

    def error(image: Pixels) -> float:
        return float(np.mean((image.astype(float) - truth) ** 2))

    assert error(gentle[0].native_KLC) < error(grained.native_KLC)
    assert np.array_equal(gentle[1].native_KLC, truth)
    (wild,) = build(model, 0.9).clean_up([grained])
    assert not wild.kept
    assert np.array_equal(wild.native_KLC, grained.native_KLC)


@pytest.mark.parametrize("strength", [0.0, 1.0, -1.0])
def test_a_strength_that_cannot_be(model: LoadedModel, strength: float) -> None:
    with pytest.raises(ValueError, match="strength"):
        build(model, strength)
