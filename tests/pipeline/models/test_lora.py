from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from pipeline.core.errors import InputError
from pipeline.models import adapters, lora
from pipeline.models.conf import LoraConfig, LoraUse, Method, Targets
from pipeline.models.lora_files import save_lora
from pipeline.models.registry import load_model
from tests.fakes.adapters import NANO, answer, trained

CASES = [
    LoraConfig(rank=4, alpha=4.0),
    LoraConfig(rank=4, alpha=9.0, targets=Targets.linear, rslora=True),
    LoraConfig(rank=2, alpha=1.0, targets=Targets.all, text_encoder=True),
    LoraConfig(
        rank=2,
        text_encoder=True,
        rank_pattern={"unet.mid": 5, "q_proj": 3, "unet.mid.*to_k": 4},
    ),
]


@pytest.mark.parametrize("cfg", CASES, ids=["plain", "rslora", "all", "ranks"])
@pytest.mark.parametrize("kind", ["diffusers", "kohya"])
def test_a_saved_adapter_loads_back_exactly(tmp_path: Path, cfg: LoraConfig, kind: str) -> None:
    model = trained(cfg)
    file = save_lora(model, cfg, tmp_path, metadata={"ss_seed": "7"})[kind]
    fresh = load_model(NANO, device="cpu")
    base = answer(fresh)
    adapters.apply(fresh, [LoraUse(path=file)])
    assert torch.equal(answer(fresh), answer(model))
    assert not torch.allclose(answer(fresh), base, atol=1e-3)
    fresh.pipeline.set_adapters(["lora0"], [0.0])
    assert torch.equal(answer(fresh), base)
    with safe_open(file, framework="pt") as opened:
        metadata = opened.metadata()
    assert metadata["ss_network_dim"] == str(cfg.rank)
    assert metadata["ss_seed"] == "7"


@pytest.mark.parametrize("method", [Method.loha, Method.lokr])
@pytest.mark.parametrize("targets", [Targets.attention, Targets.all])
def test_loha_and_lokr_load_back_exactly(tmp_path: Path, method: Method, targets: Targets) -> None:
    cfg = LoraConfig(
        method=method, rank=3, alpha=2.0, targets=targets, rank_pattern={"unet.mid": 2}
    )
    model = trained(cfg)
    files = save_lora(model, cfg, tmp_path)
    assert list(files) == ["diffusers"]
    fresh, fused = load_model(NANO, device="cpu"), load_model(NANO, device="cpu")
    base = answer(fresh)
    state = torch.random.get_rng_state()
    loaded = adapters.Adapters(fresh, [[LoraUse(path=tmp_path)], []], fuse=False)
    assert torch.equal(torch.random.get_rng_state(), state)
    loaded.use(0)
    assert torch.equal(answer(fresh), answer(model))
    assert not torch.allclose(answer(fresh), base, atol=1e-3)
    fresh.pipeline.set_adapters(["lora0"], [0.0])
    assert torch.equal(answer(fresh), base)
    loaded.use(1)
    assert torch.equal(answer(fresh), base)
    adapters.Adapters(fused, [[LoraUse(path=tmp_path, weight=0.5)]], fuse=True).use(0)
    fresh.pipeline.enable_lora()
    fresh.pipeline.set_adapters(["lora0"], [0.5])
    torch.testing.assert_close(answer(fused), answer(fresh), rtol=1e-3, atol=1e-4)
    assert not any("hada" in name or "lokr" in name for name in fused.pipeline.unet.state_dict())


@pytest.mark.parametrize("method", [Method.loha, Method.lokr])
def test_a_fresh_loha_or_lokr_changes_nothing_and_is_deterministic(method: Method) -> None:
    base = answer(load_model(NANO, device="cpu"))
    models = [load_model(NANO, device="cpu") for _ in range(2)]
    for model in models:
        lora.attach(model, LoraConfig(method=method, rank=2), seed=4)
    assert torch.equal(answer(models[0]), base)
    left, right = (lora.trainable(m) for m in models)
    assert all(torch.equal(left[name], right[name]) for name in left)
    assert all("hada" in name or "lokr" in name for name in left)


def test_kinds_do_not_mix_and_broken_ones_are_named(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    for method in (Method.lora, Method.loha):
        cfg = LoraConfig(method=method, rank=2)
        save_lora(trained(cfg), cfg, tmp_path / method.value)
    uses = [LoraUse(path=tmp_path / name) for name in ("lora", "loha")]
    with pytest.raises(InputError, match="one kind"):
        adapters.apply(load_model(NANO, device="cpu"), uses)
    file = tmp_path / "loha" / "pytorch_lora_weights.safetensors"
    with safe_open(file, framework="pt") as opened:
        metadata = opened.metadata()
    tensors = load_file(file)
    tensors.pop(next(iter(tensors)))
    save_file(tensors, file, metadata=metadata)
    for changes in ({}, {"lora_adapter_metadata": "{"}):
        save_file(tensors, file, metadata=metadata | changes)
        with pytest.raises(InputError, match="loras: ") as refused:
            adapters.apply(load_model(NANO, device="cpu"), uses[1:])
        assert "\n" not in str(refused.value)
    for key in ("rslora", "dora", "text_encoder"):
        with pytest.raises(ValueError, match=f"lora.{key}"):
            LoraConfig(method=Method.lokr, **{key: True})  # type: ignore[arg-type]


def test_the_last_pattern_that_fits_decides_a_rank() -> None:
    ranks = {
        name: min(parameter.shape[:2])
        for name, parameter in lora.trainable(trained(CASES[-1])).items()
        if ".lora_A." in name
    }
    for name, rank in ranks.items():
        expected = 4 if "mid" in name and "to_k" in name else 5 if "unet.mid" in name else 2
        assert rank == (3 if "q_proj" in name else expected), name
    assert set(ranks.values()) == {2, 3, 4, 5}


def test_stabilised_layers_of_several_ranks_load_back_in_the_one_form_they_have(
    tmp_path: Path,
) -> None:
    cfg = replace(CASES[-1], rslora=True)
    model = trained(cfg)
    assert list(save_lora(model, cfg, tmp_path)) == ["diffusers"]
    fresh = load_model(NANO, device="cpu")
    adapters.apply(fresh, [LoraUse(path=tmp_path)])
    assert torch.equal(answer(fresh), answer(model))


def test_a_pattern_that_fits_nothing_is_refused() -> None:
    model = load_model(NANO, device="cpu")
    for pattern in ("text_encoder", "unet.middle"):
        with pytest.raises(InputError, match=f"lora.rank_pattern: '{pattern}'"):
            lora.attach(model, LoraConfig(rank_pattern={pattern: 2}), seed=0)
    with pytest.raises(ValueError, match="lora.rank_pattern"):
        LoraConfig(rank_pattern={"(": 2})


def test_dora_loads_back_exactly_in_the_one_form_it_is_written(tmp_path: Path) -> None:
    cfg = LoraConfig(rank=2, dora=True)
    model = trained(cfg)
    files = save_lora(model, cfg, tmp_path)
    assert list(files) == ["diffusers"]
    assert [p.name for p in tmp_path.iterdir()] == [files["diffusers"].name]
    fresh = load_model(NANO, device="cpu")
    adapters.apply(fresh, [LoraUse(path=tmp_path)])
    assert torch.equal(answer(fresh), answer(model))
    with pytest.raises(ValueError, match="lora.dora"):
        LoraConfig(dora=True, text_encoder=True)


def test_a_fresh_adapter_changes_nothing_and_is_deterministic() -> None:
    base = answer(load_model(NANO, device="cpu"))
    state = torch.random.get_rng_state()
    models = []
    for _ in range(2):
        model = load_model(NANO, device="cpu")
        lora.attach(model, LoraConfig(rank=4), seed=5)
        models.append(model)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(answer(models[0]), base)
    left, right = (lora.trainable(m) for m in models)
    assert list(left) == sorted(left) == list(right)
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_only_the_adapter_is_trained() -> None:
    model = trained(LoraConfig(rank=4))
    assert all("lora_" in name for name in lora.trainable(model))
    assert all(name.startswith("unet.") for name in lora.trainable(model))


def test_weights_given_are_written_in_place_of_the_live_ones(tmp_path: Path) -> None:
    cfg = LoraConfig(rank=4)
    model = trained(cfg)
    averages = {name: torch.zeros_like(p) for name, p in lora.trainable(model).items()}
    save_lora(model, cfg, tmp_path, weights=averages)
    fresh = load_model(NANO, device="cpu")
    base = answer(fresh)
    adapters.apply(fresh, [LoraUse(path=tmp_path)])
    assert torch.equal(answer(fresh), base)


def test_the_same_adapter_gives_the_same_file(tmp_path: Path) -> None:
    cfg = LoraConfig(rank=4)
    for name in ("a", "b"):
        save_lora(trained(cfg), cfg, tmp_path / name)
    for kind in ("pytorch_lora_weights", "pytorch_lora_weights_kohya"):
        file = f"{kind}.safetensors"
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_bad_adapters_are_named(tmp_path: Path) -> None:
    model = load_model(NANO, device="cpu")
    cut = tmp_path / "cut.safetensors"
    file = save_lora(trained(LoraConfig(rank=2)), LoraConfig(rank=2), tmp_path / "ok")["diffusers"]
    cut.write_bytes(file.read_bytes()[:100])
    pickle = tmp_path / "lora.bin"
    pickle.write_bytes(b"\x80\x04.")
    for path, word in ((tmp_path / "absent", "neither"), (cut, "not a whole"), (pickle, "pickles")):
        with pytest.raises(InputError, match=word) as refused:
            adapters.apply(model, [LoraUse(path=path)])
        assert str(path) in str(refused.value)


def test_an_adapter_of_another_base_is_applied_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cfg = LoraConfig(rank=2)
    file = save_lora(trained(cfg), cfg, tmp_path)["diffusers"]
    adapters.apply(load_model(NANO, device="cpu"), [LoraUse(path=file)])
    assert "another base" not in caplog.text
    other = replace(load_model(NANO, device="cpu"), digest="0" * 64)
    adapters.apply(other, [LoraUse(path=file)])
    assert "another base model" in caplog.text
