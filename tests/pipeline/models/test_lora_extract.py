"""A LoRA baked into a copy of a model is found again as the difference of the two."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pipeline.core.errors import InputError
from pipeline.models import adapters
from pipeline.models.conf import FamilyName, LoraConfig, LoraForm, LoraUse, ModelConfig, Targets
from pipeline.models.lora_algebra import delta, keep_rank
from pipeline.models.lora_extract import extract_lora
from pipeline.models.lora_files import save_lora
from pipeline.models.lora_weights import read_lora, write_lora
from pipeline.models.registry import load_model
from tests.fakes.adapters import answer, trained

CFG = LoraConfig(rank=2, alpha=3.0, targets=Targets.all, text_encoder=True)


def bake(base: ModelConfig, folder: Path) -> dict[str, Path]:
    """Write ``base/`` and ``run/model/``, the same with a LoRA in its weights; and the LoRA."""
    files = save_lora(trained(CFG, base), CFG, folder)
    model = load_model(base, device="cpu")
    model.pipeline.save_pretrained(folder / "base")
    adapters.Adapters(model, [[LoraUse(path=files["diffusers"])]], fuse=True)
    model.pipeline.save_pretrained(folder / "run" / "model")
    return files


@pytest.mark.parametrize("family", [FamilyName.pixelnano, FamilyName.sdxl])
def test_what_was_baked_in_is_found_again(
    bases: dict[FamilyName, ModelConfig], family: FamilyName, tmp_path: Path
) -> None:
    hidden = read_lora(bake(bases[family], tmp_path)["diffusers"])
    found, loss, digests = extract_lora(tmp_path / "base", tmp_path / "run", keep_rank(CFG.rank))
    assert loss.whole < 1e-4
    assert found.layers.keys() == hidden.layers.keys()
    for name, layer in found.layers.items():
        wanted = delta(hidden.layers[name])
        # Weights of size 1 are kept in single precision: 2^-24 of each is lost in baking.
        assert (delta(layer) - wanted).norm() < 1e-4 * wanted.norm(), name
    base = replace(bases[family], path=tmp_path / "base")
    assert found.family is family
    assert digests["base"] == found.metadata["dgx_pixels_base_digest"] != digests["tuned"]
    assert load_model(base, device="cpu").digest == digests["base"]

    write_lora(found, tmp_path / "found.safetensors", LoraForm.kohya)
    with_lora = load_model(base, device="cpu")
    untouched = answer(with_lora)
    adapters.apply(with_lora, [LoraUse(path=tmp_path / "found.safetensors")])
    tuned = load_model(replace(base, path=tmp_path / "run" / "model"), device="cpu")
    assert torch.allclose(answer(with_lora), answer(tuned), atol=1e-4)
    assert not torch.allclose(untouched, answer(tuned), atol=1e-2)


def test_what_no_lora_holds_is_told_and_what_does_not_fit_refused(
    bases: dict[FamilyName, ModelConfig], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = load_model(bases[FamilyName.pixelnano], device="cpu")
    for name in ("base", "same"):
        model.pipeline.save_pretrained(tmp_path / name)
    with pytest.raises(InputError, match="nothing differs"):
        extract_lora(tmp_path / "base", tmp_path / "same", keep_rank(1))
    with torch.no_grad():
        model.pipeline.unet.conv_norm_out.weight += 1
        model.pipeline.unet.conv_out.weight += 0.01
    model.pipeline.save_pretrained(tmp_path / "tuned")
    with caplog.at_level(logging.WARNING):
        found, _, _ = extract_lora(tmp_path / "base", tmp_path / "tuned", keep_rank(4))
    assert list(found.layers) == ["unet.conv_out"]
    assert "unet.conv_norm_out.weight" in caplog.text
    other = bases[FamilyName.sd15].path
    assert other is not None
    with pytest.raises(InputError, match="pixelnano and sd15"):
        extract_lora(tmp_path / "base", other, keep_rank(1))
    with pytest.raises(InputError, match="--tuned.*model_index.json"):
        extract_lora(tmp_path / "base", tmp_path, keep_rank(1))
