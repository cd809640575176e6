"""One trained LoRA written three ways and loaded back: the same answers, bit for bit."""

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from pipeline.core.errors import InputError
from pipeline.models import adapters
from pipeline.models.conf import FamilyName, LoraConfig, LoraForm, LoraUse, ModelConfig, Targets
from pipeline.models.lora_files import save_lora
from pipeline.models.lora_weights import read_lora, write_lora
from pipeline.models.registry import load_model
from tests.fakes.adapters import NANO, answer, trained

CASES = {
    "attention": LoraConfig(rank=2, alpha=3.0, text_encoder=True),
    "all, rsLoRA": LoraConfig(
        rank=3, alpha=5.0, rslora=True, targets=Targets.all, text_encoder=True
    ),
}


@pytest.mark.parametrize("cfg", CASES.values(), ids=CASES)
@pytest.mark.parametrize("family", list(FamilyName), ids=lambda family: family.value)
def test_three_forms_answer_alike_here_and_in_diffusers(
    bases: dict[FamilyName, ModelConfig], family: FamilyName, cfg: LoraConfig, tmp_path: Path
) -> None:
    base = bases[family]
    model = trained(cfg, base)
    wanted = answer(model)
    saved = save_lora(model, cfg, tmp_path)["diffusers"]
    fresh = load_model(base, device="cpu")
    untouched = answer(fresh)
    assert not torch.equal(untouched, wanted)

    def loaded(file: Path, *, by_us: bool) -> torch.Tensor:
        if by_us:
            adapters.apply(fresh, [LoraUse(path=file)])
        else:
            fresh.pipeline.load_lora_weights(tmp_path, weight_name=file.name)
        found = answer(fresh)
        fresh.pipeline.unload_lora_weights()
        assert torch.equal(answer(fresh), untouched)
        return found

    for form in LoraForm:
        file = tmp_path / f"{form.value}.safetensors"
        write_lora(read_lora(saved), file, form)
        assert torch.equal(loaded(file, by_us=True), wanted), form
        if family is FamilyName.sdxl and form is LoraForm.comfyui and cfg.targets is Targets.all:
            continue  # diffusers 0.42.1 passes over add_embedding of this form, with a warning.
        assert torch.equal(loaded(file, by_us=False), wanted), form


@pytest.mark.parametrize("family", list(FamilyName), ids=lambda family: family.value)
def test_a_form_made_from_another_is_the_form_made_at_once(
    bases: dict[FamilyName, ModelConfig], family: FamilyName, tmp_path: Path
) -> None:
    cfg = CASES["all, rsLoRA"]
    first = read_lora(save_lora(trained(cfg, bases[family]), cfg, tmp_path)["diffusers"])
    for form in LoraForm:
        write_lora(first, tmp_path / "once.safetensors", form)
        for via in LoraForm:
            write_lora(first, tmp_path / "via.safetensors", via)
            read = read_lora(tmp_path / "via.safetensors")
            assert read.family is family
            write_lora(read, tmp_path / "twice.safetensors", form)
            one, two = (load_file(tmp_path / f"{n}.safetensors") for n in ("once", "twice"))
            assert one.keys() == two.keys()
            assert all(torch.equal(one[key], two[key]) for key in one)


def test_kohya_scales_by_alpha_over_rank_alone(tmp_path: Path) -> None:
    cfg = LoraConfig(rank=4, alpha=6.0, rslora=True)
    file = save_lora(trained(cfg), cfg, tmp_path)["kohya"]
    alphas = {float(value) for key, value in load_file(file).items() if key.endswith(".alpha")}
    assert alphas == {12.0}
    with safe_open(file, framework="pt") as opened:
        assert opened.metadata()["ss_network_alpha"] == "12.0"


def test_sdxl_blocks_are_counted_as_each_reader_counts(
    bases: dict[FamilyName, ModelConfig], tmp_path: Path
) -> None:
    cfg = LoraConfig(rank=1)
    files = save_lora(trained(cfg, bases[FamilyName.sdxl]), cfg, tmp_path)
    comfyui = tmp_path / "comfyui.safetensors"
    write_lora(read_lora(files["diffusers"]), comfyui, LoraForm.comfyui)
    kohya = [key for key in load_file(files["kohya"]) if key.startswith("lora_unet")]
    assert any(key.startswith("lora_unet_input_blocks_4_1_") for key in kohya)
    assert not any("down_blocks" in key for key in kohya)
    assert any(key.startswith("lora_unet_down_blocks_1_") for key in load_file(comfyui))
    with safe_open(files["kohya"], framework="pt") as opened:
        assert opened.metadata()["ss_base_model_version"].startswith("sdxl_")


def test_a_dora_has_one_form(tmp_path: Path) -> None:
    cfg = LoraConfig(rank=2, dora=True, targets=Targets.all)
    model = trained(cfg)
    dora = read_lora(save_lora(model, cfg, tmp_path)["diffusers"])
    assert dora.is_dora
    write_lora(dora, tmp_path / "again.safetensors", LoraForm.diffusers)
    fresh = load_model(NANO, device="cpu")
    adapters.apply(fresh, [LoraUse(path=tmp_path / "again.safetensors")])
    assert torch.equal(answer(fresh), answer(model))
    for form in (LoraForm.kohya, LoraForm.comfyui):
        with pytest.raises(InputError, match="DoRA"):
            write_lora(dora, tmp_path / "x.safetensors", form)
    assert not (tmp_path / "x.safetensors").exists()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"lora_unet_conv_in.hada_w1_a": torch.ones(1)}, "hada_w1_a"),
        ({"lora_unet_conv_in.dora_scale": torch.ones(64, 1, 1, 1)}, "dora_scale"),
        ({"lora_unet_conv_in.lora_mid.weight": torch.ones(1)}, "lora_mid"),
        ({"lora_unet_mid.lora_down.weight": torch.ones(2, 3)}, "lora_unet_mid"),
        ({"lora_unet_conv_in.lora_up.weight": torch.ones(64, 9, 1, 1)}, "do not fit"),
        ({"lora_x.lora_down.weight": torch.ones(1, 1), "lora_x.lora_up.weight": torch.ones(1, 1)},
         "lora_x"),
    ],
)  # fmt: skip
def test_what_is_not_read_is_named(
    change: dict[str, torch.Tensor], word: str, tmp_path: Path
) -> None:
    cfg = LoraConfig(rank=2, targets=Targets.all)
    tensors = load_file(save_lora(trained(cfg), cfg, tmp_path)["kohya"]) | change
    file = tmp_path / "changed.safetensors"
    save_file(tensors, file, {"dgx_pixels_family": "pixelnano"})
    with pytest.raises(InputError, match=word) as refused:
        read_lora(file)
    assert str(file) in str(refused.value)
    with pytest.raises(InputError, match=word):
        adapters.apply(load_model(NANO, device="cpu"), [LoraUse(path=file)])


def test_layers_of_another_model_are_refused_not_passed_over(tmp_path: Path) -> None:
    cfg = LoraConfig(rank=2)
    tensors = load_file(save_lora(trained(cfg), cfg, tmp_path)["kohya"])
    strange = {k.replace("down_blocks_1", "down_blocks_7"): v for k, v in tensors.items()}
    save_file(strange, tmp_path / "strange.safetensors")
    with pytest.raises(InputError, match="down_blocks.7"):
        adapters.apply(
            load_model(ModelConfig(family=FamilyName.pixelnano), device="cpu"),
            [LoraUse(path=tmp_path / "strange.safetensors")],
        )


def test_a_file_that_tells_no_family_needs_one(tmp_path: Path) -> None:
    cfg = LoraConfig(rank=2)
    tensors = load_file(save_lora(trained(cfg), cfg, tmp_path)["kohya"])
    save_file(tensors, tmp_path / "bare.safetensors")
    with pytest.raises(InputError, match="--family"):
        read_lora(tmp_path / "bare.safetensors")
    found = read_lora(tmp_path / "bare.safetensors", family=FamilyName.pixelnano)
    assert found.layers["unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q"].rank == 2
    save_file(tensors, tmp_path / "sd.safetensors", {"ss_base_model_version": "sd_v1"})
    assert read_lora(tmp_path / "sd.safetensors").family is FamilyName.sd15
