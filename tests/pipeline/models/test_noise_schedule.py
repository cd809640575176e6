"""A schedule that training changed: the paper's algorithm, and generation that follows a LoRA."""

import json
from pathlib import Path

import pytest
import torch

from pipeline.core.errors import InputError
from pipeline.generate.conf import Precision, SamplerConfig, SamplerName
from pipeline.generate.sample import sample_pixels
from pipeline.models import adapters, lora
from pipeline.models.conf import FamilyName, LoraConfig, LoraUse, ModelConfig
from pipeline.models.lora_files import save_lora
from pipeline.models.noise_schedule import SCHEDULE_KEY, change_schedule
from pipeline.models.protocol import LoadedModel
from pipeline.models.registry import load_model

NANO = ModelConfig(family=FamilyName.pixelnano)
ZERO = {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction"}


def saved(folder: Path, changes: dict[str, object] | None) -> Path:
    model = load_model(NANO, device="cpu")
    cfg = LoraConfig(rank=2)
    lora.attach(model, cfg, seed=0)
    metadata = {} if changes is None else {SCHEDULE_KEY: json.dumps(changes)}
    return save_lora(model, cfg, folder, metadata=metadata)["diffusers"]


def drawn(model: LoadedModel, sampler: SamplerName) -> torch.Tensor:
    return torch.from_numpy(
        sample_pixels(
            model, prompts=["orc"], indices=[0], run_seed=0, device="cpu",
            sampler=SamplerConfig(name=sampler, num_steps=3), precision=Precision.fp32,
        )
    )  # fmt: skip


def test_zero_terminal_snr_is_the_papers_algorithm() -> None:
    model = load_model(NANO, device="cpu")
    before = model.alphas_cumprod.double().sqrt()
    change_schedule(model, ZERO)
    # arXiv 2305.08891, Algorithm 1: shift the last root to 0, scale the first back to itself.
    root = (before - before[-1]) * before[0] / (before[0] - before[-1])
    torch.testing.assert_close(model.alphas_cumprod.double(), root**2, rtol=1e-3, atol=1e-6)
    assert float(model.alphas_cumprod[-1]) == 0.0
    assert model.pipeline.scheduler.config.timestep_spacing == "trailing"


def test_only_v_prediction_learns_anything_from_noise_alone() -> None:
    model = load_model(NANO, device="cpu")
    with pytest.raises(InputError, match="loss.prediction=v"):
        change_schedule(model, ZERO | {"prediction_type": "epsilon"})


# diffusers 0.42.1 hands a tensor to numpy in a way numpy 2 deprecates.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("sampler", list(SamplerName))
def test_generation_follows_what_a_lora_was_trained_on(
    tmp_path: Path, sampler: SamplerName
) -> None:
    file = saved(tmp_path, ZERO)
    by_hand, by_file = load_model(NANO, device="cpu"), load_model(NANO, device="cpu")
    base = drawn(by_hand, sampler)
    change_schedule(by_hand, ZERO)
    expected = drawn(by_hand, sampler)
    assert not torch.equal(base, expected)
    loaded = adapters.Adapters(by_file, [[LoraUse(path=file)], []], fuse=False)
    loaded.use(0)
    assert torch.equal(drawn(by_file, sampler), expected)
    loaded.use(1)
    assert torch.equal(drawn(by_file, sampler), base), "the base keeps its own schedule"
    fused = load_model(NANO, device="cpu")
    adapters.Adapters(fused, [[LoraUse(path=file)]], fuse=True).use(0)
    assert torch.equal(drawn(fused, sampler), expected)


@pytest.mark.filterwarnings("ignore:Already found a `peft_config`:UserWarning")
def test_adapters_of_two_schedules_do_not_mix(tmp_path: Path) -> None:
    uses = [LoraUse(path=saved(tmp_path / "a", ZERO)), LoraUse(path=saved(tmp_path / "b", None))]
    model = load_model(NANO, device="cpu")
    with pytest.raises(InputError, match="rescale_betas_zero_snr"):
        adapters.Adapters(model, [uses], fuse=False)
    adapters.Adapters(load_model(NANO, device="cpu"), [[use] for use in uses], fuse=False)


@pytest.mark.parametrize("told", ["{", "[]", '{"beta_start": 1}', '{"prediction_type": "w"}', "3"])
def test_a_schedule_nobody_knows_is_refused(tmp_path: Path, told: str) -> None:
    model = load_model(NANO, device="cpu")
    cfg = LoraConfig(rank=2)
    lora.attach(model, cfg, seed=0)
    file = save_lora(model, cfg, tmp_path, metadata={SCHEDULE_KEY: told})["diffusers"]
    with pytest.raises(InputError, match=SCHEDULE_KEY):
        adapters.apply(load_model(NANO, device="cpu"), [LoraUse(path=file)])
