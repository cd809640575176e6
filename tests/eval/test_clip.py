from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPImageProcessorPil, CLIPModel

from eval.clip import VIT_B_32, Clip, ClipDistance, ClipFiles, ClipTextDistance, open_clip
from eval.metric import UnavailableError
from eval.similarity import GROUND
from eval.weights import Place
from tests.fakes.changes import Picture, noised
from tests.fakes.clip import MOST_TOKENS, SIDE_PX, make_clip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clip")


@pytest.fixture(scope="module")
def which(home: Path) -> ClipFiles:
    return make_clip(home)


@pytest.fixture(scope="module")
def clip(home: Path, which: ClipFiles) -> Clip:
    return Clip(Place(folder=home), which)


def test_values_of_the_library(clip: Clip, home: Path, art: list[Picture]) -> None:
    """Pictures and texts through transformers' own processor and forward pass."""
    texts = ["red orc", "a chest", "grass"]
    flat = [
        Image.alpha_composite(Image.new("RGBA", (32, 32), (*GROUND, 255)), Image.fromarray(p))
        for p in art[:3]
    ]
    shown = CLIPImageProcessorPil(
        size={"shortest_edge": SIDE_PX}, crop_size={"height": SIDE_PX, "width": SIDE_PX}
    )([p.convert("RGB") for p in flat], return_tensors="pt")
    model = CLIPModel.from_pretrained(home / "tiny-clip").eval()
    encoded = [clip.tokenizer.encode(text).ids for text in texts]
    longest = max(map(len, encoded))
    # The real one pads with 0; what comes after the end of a text makes no difference.
    ids = torch.tensor([i + [0] * (longest - len(i)) for i in encoded])
    with torch.inference_mode():
        told = model(input_ids=ids, pixel_values=shown["pixel_values"])
        cosine = (told.logits_per_image / model.logit_scale.exp()).numpy()
    found = ClipTextDistance(clip)(art[:3], texts)["clip_text_distance"]
    # 8-bit rounding of the ground differs by one at soft edges.
    assert found == pytest.approx(1 - np.diag(cosine), abs=2e-3)
    embeds = told.image_embeds.numpy()
    apart = ClipDistance(clip)(art[:2], art[1:3])["clip_distance"]
    expected = [1 - embeds[i] @ embeds[i + 1] for i in range(2)]
    assert apart == pytest.approx(expected, abs=2e-3)


def test_the_same_is_at_zero_and_more_noise_is_farther(clip: Clip, art: list[Picture]) -> None:
    measure = ClipDistance(clip)
    assert not measure(art, art)["clip_distance"].any()
    little, much = (
        measure(art, [noised(p, amplitude) for p in art])["clip_distance"].mean()
        for amplitude in (4, 40)
    )
    assert 0 < little < much
    there, back = measure(art[:-1], art[1:]), measure(art[1:], art[:-1])
    assert there["clip_distance"] == pytest.approx(back["clip_distance"])


def test_a_picture_is_shown_whole_whatever_its_shape(clip: Clip) -> None:
    """What lies outside the middle square is seen: CLIP's own preparation would cut it off."""
    wide = np.full((8, 24, 4), 255, dtype=np.uint8)
    marked = wide.copy()
    marked[2:6, 0:3, :3] = (255, 0, 0)
    assert ClipDistance(clip)([wide], [marked])["clip_distance"][0] > 0


def test_long_and_strange_texts_are_taken(clip: Clip, art: list[Picture]) -> None:
    texts = ["x " * 50, "", "café ☃ 龍"]
    found = ClipTextDistance(clip)(art[:3], texts)["clip_text_distance"]
    assert np.isfinite(found).all()
    assert len(clip.tokenizer.encode(texts[0]).ids) == MOST_TOKENS
    with pytest.raises(ValueError, match="2 texts"):
        ClipTextDistance(clip)(art[:3], texts[:2])


def test_without_the_model_there_is_no_distance(
    home: Path, which: ClipFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(UnavailableError, match=f"hf download {VIT_B_32.repo}"):
        open_clip(Place(folder=home))
    lacking = make_clip(tmp_path / "lacking", without="visual_projection.weight")
    with pytest.raises(UnavailableError, match=r"visual_projection\.weight"):
        Clip(Place(folder=tmp_path / "lacking"), lacking)
    with pytest.raises(UnavailableError, match="sha256"):
        Clip(Place(folder=tmp_path / "lacking"), which)


def test_the_hubs_cache_is_looked_in(
    home: Path, which: ClipFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshots = tmp_path / "models--nobody--tiny-clip" / "snapshots"
    snapshots.mkdir(parents=True)
    (snapshots / which.revision).symlink_to(home / "tiny-clip")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert Clip(Place(), which).side_px == SIDE_PX
