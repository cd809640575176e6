"""sd15 and sdxl through the same protocol, on tiny pipelines with random weights made here."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.core.errors import InputError
from pipeline.core.files import sha256_file
from pipeline.generate.conf import Precision, SamplerConfig, SamplerName
from pipeline.generate.sample import sample_pixels
from pipeline.models import adapters, lora
from pipeline.models.conf import FamilyName, LoraConfig, LoraForm, LoraUse, ModelConfig
from pipeline.models.lora_files import save_lora
from pipeline.models.lora_weights import read_lora, write_lora
from pipeline.models.registry import load_model
from tests.fakes.tiny import build_tiny


@pytest.fixture(scope="module", params=[FamilyName.sd15, FamilyName.sdxl])
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ModelConfig:
    folder = build_tiny(request.param, tmp_path_factory.mktemp(request.param.value))
    return ModelConfig(family=request.param, path=folder, size_px=64)


@pytest.mark.filterwarnings("ignore")
def test_it_samples_trains_and_loads_its_lora_back(tiny: ModelConfig, tmp_path: Path) -> None:
    model = load_model(tiny, device="cpu")
    assert model.latent_shape == (4, 8, 8)

    def draw(m: Any) -> Any:
        return sample_pixels(
            m, prompts=["orc", "potion"], indices=[0, 1], run_seed=0, device="cpu",
            sampler=SamplerConfig(num_steps=2, name=SamplerName.ddim), precision=Precision.fp32,
        )  # fmt: skip

    base = draw(model)
    assert base.shape == (2, 64, 64, 3)
    cfg = LoraConfig(rank=2, alpha=3.0, text_encoder=True)
    lora.attach(model, cfg, seed=0)
    pixels = torch.rand(2, 3, 64, 64) * 2 - 1
    latents = model.family.encode_pixels(model.pipeline, pixels, torch.randn(2, 4, 8, 8))
    conditioning = model.family.encode_text(model.pipeline, ["orc", ""])
    out = model.family.predict(model.pipeline.unet, latents, torch.tensor([3, 800]), conditioning)
    out.square().mean().backward()
    without = [n for n, p in lora.trainable(model).items() if p.grad is None]
    assert without == [], "every adapter must get a gradient, or DDP stops"
    with torch.no_grad():
        for parameter in lora.trainable(model).values():
            parameter += 0.2
    after = draw(model)
    assert (after != base).any()
    files = save_lora(model, cfg, tmp_path)
    files["comfyui"] = tmp_path / "comfyui.safetensors"
    write_lora(read_lora(files["diffusers"]), files["comfyui"], LoraForm.comfyui)
    for file in files.values():
        fresh = load_model(tiny, device="cpu")
        adapters.apply(fresh, [LoraUse(path=file)])
        assert (draw(fresh) == after).all(), file.name


def test_a_wrong_digest_is_named(tiny: ModelConfig) -> None:
    assert tiny.path is not None
    name = "unet/diffusion_pytorch_model.safetensors"
    right = sha256_file(tiny.path / name)
    cfg = ModelConfig(family=tiny.family, path=tiny.path, size_px=64, sha256={name: right})
    load_model(cfg, device="cpu")
    cfg.sha256 = {name: "0" * 64}
    with pytest.raises(InputError, match="model.sha256"):
        load_model(cfg, device="cpu")


def test_missing_and_pickled_weights_are_refused(tiny: ModelConfig, tmp_path: Path) -> None:
    import shutil

    assert tiny.path is not None
    with pytest.raises(InputError, match="model_index.json"):
        load_model(ModelConfig(family=tiny.family, path=tmp_path), device="cpu")
    copy = tmp_path / "copy"
    shutil.copytree(tiny.path, copy)
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(InputError, match="could not be loaded"):
        load_model(ModelConfig(family=tiny.family, path=copy, size_px=64), device="cpu")
    assert json.loads((copy / "model_index.json").read_text())["_class_name"]


def test_a_family_without_weights_says_what_to_give() -> None:
    with pytest.raises(InputError, match="model.path"):
        load_model(ModelConfig(family=FamilyName.sdxl), device="cpu")
