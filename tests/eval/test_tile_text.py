import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from eval import features as features_module
from eval.metric import UnavailableError
from eval.objective import text_metrics
from eval.tile_text import (
    ASSETS,
    HEAD,
    METRICS,
    NUM_TEXT,
    Head,
    TileText,
    read_head,
    text_features,
)
from eval.tile_text_train import Captioned, fit, held_out_figures, make
from eval.weights import Place
from pipeline.core.errors import InputError
from pipeline.core.files import sha256_file
from tests.fakes.changes import Picture, noised

FIXTURES = Path(__file__).parent / "fixtures"
SIDE_PX = 32
CAPTIONS: list[str] = json.loads((FIXTURES / "held_out.json").read_text())


@pytest.fixture(scope="module")
def held_out() -> list[Picture]:
    row = np.asarray(Image.open(FIXTURES / "held_out.png"))
    return [row[:, i * SIDE_PX : (i + 1) * SIDE_PX] for i in range(len(CAPTIONS))]


@pytest.fixture(scope="module")
def score() -> Callable[[list[Picture], list[str]], np.ndarray]:
    pytest.importorskip("efficientnet_lite_pytorch")
    (offer,) = [o for o in text_metrics() if o.infos == METRICS]
    metric = offer.build(Place())
    return lambda images, texts: metric(images, texts)["tile_text"]


def test_right_captions_beat_swapped_ones(score, held_out: list[Picture]) -> None:
    own = score(held_out, CAPTIONS)
    others = np.stack([score(held_out, [*CAPTIONS[n:], *CAPTIONS[:n]]) for n in (3, 7, 12)])
    assert own.shape == (len(CAPTIONS),)
    assert own.dtype == np.float64
    assert (np.abs([own, *others]) <= 1 + 1e-9).all()
    assert (own > others).mean() > 0.75
    assert own.mean() > others.mean() + 0.2


def test_it_is_the_same_each_time_and_one_by_one(score, held_out: list[Picture]) -> None:
    found = score(held_out[:5], CAPTIONS[:5])
    assert np.array_equal(found, score(held_out[:5], CAPTIONS[:5]))
    one_by_one = [score([p], [c])[0] for p, c in zip(held_out[:5], CAPTIONS[:5], strict=True)]
    assert found == pytest.approx(one_by_one, abs=1e-4)


def test_blocks_do_not_show(
    score, held_out: list[Picture], monkeypatch: pytest.MonkeyPatch
) -> None:
    captions = [f"red shield {i}" for i in range(7)]
    whole = score(held_out[:7], captions)
    monkeypatch.setattr("eval.tile_text.BLOCK", 3)
    np.testing.assert_allclose(score(held_out[:7], captions), whole, atol=1e-6)


def test_heavy_noise_lowers_it(score, held_out: list[Picture]) -> None:
    clean, little, much = (
        score([noised(p, amplitude) for p in held_out], CAPTIONS).mean()
        for amplitude in (0, 24, 96)
    )
    assert clean > little > much
    assert much < clean - 0.1


def test_a_prompt_without_a_word_has_no_score(score, held_out: list[Picture]) -> None:
    found = score(held_out[:3], ["", " -- ", "zzzyx 龍"])
    assert np.isnan(found).tolist() == [True, True, False]
    with pytest.raises(ValueError, match="2 texts"):
        score(held_out[:3], CAPTIONS[:2])


@given(st.lists(st.text(), max_size=4))
def test_text_features_are_unit_or_nothing_and_see_no_case_or_order(texts: list[str]) -> None:
    found = text_features(texts)
    assert found.shape == (len(texts), NUM_TEXT)
    lengths = np.linalg.norm(found, axis=1)
    assert np.all(np.isclose(lengths, 1) | (lengths == 0))
    words = [" ".join(reversed(f"{text} orc".split())) for text in texts]
    there = text_features([f"{text} orc" for text in texts])
    assert np.allclose(text_features(words), there)


def test_like_words_are_near() -> None:
    potion, potions, wall = text_features(["Ruby Potion", "ruby potions", "stone wall"])
    assert potion @ potions > 0.6
    assert abs(potion @ wall) < 0.2


def test_another_head_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=HEAD.name):
        read_head(tmp_path)
    data = bytearray((ASSETS / HEAD.name).read_bytes())
    data[-1] ^= 1
    (tmp_path / HEAD.name).write_bytes(data)
    with pytest.raises(UnavailableError, match="tile_text: .*sha256.*git checkout") as told:
        TileText(lambda images: np.zeros((len(images), 1280), dtype=np.float32), tmp_path)
    assert "\n" not in str(told.value)


def test_without_the_features_it_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features_module, "SHA256", "0" * 64)
    (offer,) = [o for o in text_metrics() if o.infos == METRICS]
    with pytest.raises(UnavailableError):
        offer.build(Place())


def test_the_record_is_of_the_head_that_is_used() -> None:
    record = json.loads((ASSETS / HEAD.name).with_suffix(".json").read_text())
    assert record["sha256"] == HEAD.sha256 == sha256_file(ASSETS / HEAD.name)
    assert (ASSETS / HEAD.name).stat().st_size < 300_000
    assert all(each["auc"]["value"] > 0.7 for each in record["held_out"].values())
    told = (Path(__file__).parents[2] / "docs" / "tile_text.md").read_text()
    for each in record["held_out"].values():
        for name in ("auc", "auc_same_last_word"):
            assert f"{each[name]['value']:.2f}" in told


def test_a_head_is_made_the_same_again(smoke_data: Path, tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    records = [make([smoke_data], tmp_path / name, 0) for name in ("one", "two")]
    one, two = (tmp_path / name / HEAD.name for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    assert records[0] == records[1]
    assert records[0]["sha256"] == sha256_file(one)
    shutil.rmtree(tmp_path / "two")
    with pytest.raises(InputError):
        make([tmp_path / "two"], tmp_path / "out", 0)
    assert not (tmp_path / "out").exists()


def test_what_goes_together_is_found_and_what_does_not_is_not() -> None:
    """Features that are the caption's, in another base, are matched; those of chance are not."""
    random = np.random.default_rng(0)
    words = ["orc", "potion", "dragon", "wall", "sword", "tree"]
    captions = [f"{a} {b}" for a in words for b in words if a != b] * 2
    groups = [str(i) for i in range(len(captions))]
    turned = text_features(captions) @ random.normal(size=(NUM_TEXT, 40))
    for features, low, high in (
        (turned, 0.95, 1.0),
        (random.normal(size=turned.shape), 0.3, 0.7),
    ):
        art = Captioned(features=features.astype(np.float32), captions=captions, groups=groups)
        half = len(captions) // 2
        parts = [
            Captioned(features=art.features[s], captions=captions[s], groups=groups[s])
            for s in (slice(half), slice(half, None))
        ]
        tensors = fit(parts[0])
        head = Head(**{name: part.astype(np.float32) for name, part in tensors.items()})
        found = held_out_figures(head, parts[1], 0)["auc"]
        assert low <= found["value"] <= high
        assert found["low"] <= found["value"] <= found["high"]
