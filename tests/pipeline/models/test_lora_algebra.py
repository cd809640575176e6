"""Sums are exact; smaller ranks are the nearest there are; both within what floats can hold."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import InputError
from pipeline.models import adapters
from pipeline.models.conf import FamilyName, LoraConfig, LoraForm, LoraUse, ModelConfig, Targets
from pipeline.models.lora_algebra import delta, extract, keep_energy, keep_rank, merge, resize
from pipeline.models.lora_files import save_lora
from pipeline.models.lora_weights import Layer, Lora, read_lora, write_lora
from pipeline.models.registry import load_model
from tests.fakes.adapters import answer, trained

FLOAT = 1e-5
"""Factors are kept in single precision."""
FACES = [(7, (5,)), (4, (9,)), (6, (3, 3, 3)), (8, (4, 1, 1))]
"""Outputs and inputs of linear and convolution layers."""


def make(seed: int, *, ranks: Sequence[int] = (3, 2, 4, 1), alpha: float = 2.0) -> Lora:
    generator = torch.Generator().manual_seed(seed)
    layers = {}
    for number, ((outputs, inputs), rank) in enumerate(zip(FACES, ranks, strict=True)):
        ones = (1, 1) if len(inputs) == 3 else ()
        layers[f"unet.layer{number}"] = Layer(
            down=torch.randn(rank, *inputs, generator=generator),
            up=torch.randn(outputs, rank, *ones, generator=generator),
            alpha=alpha,
        )
    return Lora(family=FamilyName.sd15, layers=layers, metadata={}, form=LoraForm.diffusers)


def close(left: torch.Tensor, right: torch.Tensor) -> bool:
    return bool((left - right).norm() <= FLOAT * (1 + right.norm()))


weights = st.floats(-2, 2)
seeds = st.integers(0, 1000)


@settings(max_examples=20, deadline=None)
@given(seed=seeds, one=weights, two=weights)
def test_a_merge_is_the_weighted_sum(seed: int, one: float, two: float) -> None:
    loras = [make(seed), make(seed + 1, ranks=(1, 1, 2, 3), alpha=0.5)]
    merged = merge(loras, [one, two])
    for name, layer in merged.items():
        parts = [x.layers[name] for x in loras]
        assert close(delta(layer), one * delta(parts[0]) + two * delta(parts[1]))
        assert layer.rank == parts[0].rank + parts[1].rank
        assert layer.down.shape[1:] == parts[0].down.shape[1:]


def test_a_layer_that_one_lacks_counts_as_nothing() -> None:
    one, two = make(0), make(1)
    del two.layers["unet.layer2"]
    merged = merge([one, two], [0.5, 2.0])
    assert close(delta(merged["unet.layer2"]), 0.5 * delta(one.layers["unet.layer2"]))


@settings(max_examples=20, deadline=None)
@given(seed=seeds, rank=st.integers(1, 6))
def test_a_resize_is_the_nearest_and_again_changes_nothing(seed: int, rank: int) -> None:
    first = make(seed, ranks=(5, 4, 6, 4))
    layers, loss = resize(first, keep_rank(rank))
    squares = np.zeros(2)
    for name, layer in layers.items():
        values = np.linalg.svd(delta(first.layers[name]).numpy(), compute_uv=False)
        assert layer.rank == min(rank, first.layers[name].rank, len(values))
        lost = float((delta(layer) - delta(first.layers[name])).norm())
        # What Eckart and Young say no matrix of this rank comes below.
        assert lost == pytest.approx(np.linalg.norm(values[layer.rank :]), abs=FLOAT * values[0])
        assert layer.up.shape[0] == first.layers[name].up.shape[0]
        assert layer.down.shape[1:] == first.layers[name].down.shape[1:]
        squares += (lost**2, (values**2).sum())
    assert loss.whole == pytest.approx((squares[0] / squares[1]) ** 0.5, abs=FLOAT)
    again, nothing = resize(replace(first, layers=layers), keep_rank(rank))
    assert nothing.whole < FLOAT
    assert all(close(delta(again[name]), delta(layers[name])) for name in layers)


@settings(max_examples=20, deadline=None)
@given(seed=seeds, share=st.floats(0.05, 1.0))
def test_energy_kept_is_what_was_asked_and_no_rank_more(seed: int, share: float) -> None:
    first = make(seed, ranks=(5, 4, 6, 4))
    layers, _ = resize(first, keep_energy(share))
    for name, layer in layers.items():
        whole = delta(first.layers[name])
        squares = np.linalg.svd(whole.numpy(), compute_uv=False) ** 2
        kept = squares[: layer.rank].sum() / squares.sum()
        assert kept >= share - FLOAT
        if layer.rank > 1:
            assert squares[: layer.rank - 1].sum() / squares.sum() < share + FLOAT


def test_layers_of_nothing_stay_layers_of_nothing() -> None:
    empty = make(0)
    for name, layer in empty.layers.items():
        empty.layers[name] = replace(layer, up=torch.zeros_like(layer.up))
    for kept in (keep_rank(1), keep_energy(0.9)):
        layers, loss = resize(empty, kept)
        assert loss.whole == 0
        assert all(not delta(layer).any() and layer.rank == 1 for layer in layers.values())


@settings(max_examples=10, deadline=None)
@given(seed=seeds)
def test_a_difference_of_low_rank_is_found_again(seed: int) -> None:
    hidden = make(seed)
    deltas = {
        name: delta(layer).reshape(layer.up.shape[0], *layer.down.shape[1:])
        for name, layer in hidden.layers.items()
    }
    layers, loss = extract(deltas, keep_rank(4))
    assert loss.whole < FLOAT
    assert all(close(delta(layers[name]), delta(hidden.layers[name])) for name in layers)
    smaller, more = extract(deltas, keep_energy(0.5))
    assert more.whole > loss.whole
    assert sum(x.rank for x in smaller.values()) < sum(x.rank for x in layers.values())


def test_what_cannot_be_added_is_refused() -> None:
    dora = make(0)
    dora.layers["unet.layer0"] = replace(dora.layers["unet.layer0"], magnitude=torch.ones(7))
    with pytest.raises(InputError, match="DoRA"):
        merge([make(1), dora], [1.0, 1.0])
    with pytest.raises(InputError, match="DoRA"):
        resize(dora, keep_rank(1))
    with pytest.raises(InputError, match="sd15 and sdxl"):
        merge([make(1), replace(make(2), family=FamilyName.sdxl)], [1.0, 1.0])
    broken = make(3)
    broken.layers["unet.layer1"].up[0, 0] = torch.nan
    with pytest.raises(InputError, match="unet.layer1"):
        resize(broken, keep_rank(1))
    with pytest.raises(InputError, match="unet.conv"):
        extract({"unet.conv": torch.full((2, 2), torch.inf)}, keep_rank(1))
    other = make(2)
    other.layers["unet.layer0"] = make(2).layers["unet.layer1"]
    with pytest.raises(InputError, match="unet.layer0"):
        merge([make(1), other], [1.0, 1.0])


# peft warns of a second adapter, which is what is wanted.
@pytest.mark.filterwarnings("ignore:Already found a `peft_config`")
@pytest.mark.parametrize("family", [FamilyName.pixelnano, FamilyName.sdxl])
@pytest.mark.parametrize("form", [LoraForm.diffusers, LoraForm.kohya])
def test_a_merge_draws_as_both_adapters_do(
    bases: dict[FamilyName, ModelConfig], family: FamilyName, form: LoraForm, tmp_path: Path
) -> None:
    base = bases[family]
    cfgs = [
        LoraConfig(rank=2, alpha=3.0, text_encoder=True),
        LoraConfig(rank=3, targets=Targets.all, text_encoder=True),
    ]
    files = [
        save_lora(trained(cfg, base, seed=n), cfg, tmp_path / str(n))["diffusers"]
        for n, cfg in enumerate(cfgs)
    ]
    both = load_model(base, device="cpu")
    untouched = answer(both)
    adapters.apply(
        both, [LoraUse(path=f, weight=w) for f, w in zip(files, (0.7, 0.3), strict=True)]
    )
    read = [read_lora(file) for file in files]
    made = replace(read[0], layers=merge(read, [0.7, 0.3]))
    write_lora(made, tmp_path / "merged.safetensors", form)
    one = load_model(base, device="cpu")
    adapters.apply(one, [LoraUse(path=tmp_path / "merged.safetensors")])
    # Two sums in another order: single precision differs in the last places, no more.
    assert torch.allclose(answer(one), answer(both), atol=2e-5, rtol=0)
    assert not torch.allclose(answer(one), untouched, atol=1e-2)
