"""Adapters for tests: trained ones (random values), and what a model answers with them."""

import torch
from torch import Tensor

from pipeline.models import lora
from pipeline.models.conf import FamilyName, LoraConfig, ModelConfig
from pipeline.models.protocol import LoadedModel
from pipeline.models.registry import load_model

NANO = ModelConfig(family=FamilyName.pixelnano)


def answer(model: LoadedModel) -> Tensor:
    with torch.no_grad():
        conditioning = model.family.encode_text(model.pipeline, ["orc", ""])
        x = torch.randn(2, *model.latent_shape, generator=torch.Generator().manual_seed(2))
        return model.family.predict(model.pipeline.unet, x, torch.tensor([5, 900]), conditioning)


def trained(cfg: LoraConfig, base: ModelConfig = NANO, *, seed: int = 1) -> LoadedModel:
    model = load_model(base, device="cpu")
    lora.attach(model, cfg, seed=0)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in lora.trainable(model).values():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    return model
