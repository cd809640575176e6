"""The embedded model as it is shipped: whole, small, described, and what the config says it is."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from pipeline.core.files import sha256_file
from pipeline.generate.conf import Precision, SamplerConfig
from pipeline.generate.sample import sample_pixels
from pipeline.models.conf import FamilyName, ModelConfig
from pipeline.models.pixelnano import ASSETS, PixelnanoPipeline
from pipeline.models.registry import load_model

ROOT = Path(__file__).parents[3]
CHOICE = yaml.safe_load((ROOT / "configs" / "model" / "pixelnano.yaml").read_text())
MAX_MB = 25


def test_the_config_names_every_weight_file_and_its_digest() -> None:
    assert ROOT / CHOICE["path"] == ASSETS
    files = {f.relative_to(ASSETS).as_posix(): f for f in ASSETS.rglob("*.safetensors")}
    assert CHOICE["sha256"] == {name: sha256_file(file) for name, file in files.items()}
    assert sum(file.stat().st_size for file in files.values()) <= MAX_MB * 10**6
    assert not [
        f for f in ASSETS.rglob("*") if f.suffix in (".bin", ".pt", ".pth", ".ckpt", ".pkl")
    ]


def test_it_says_what_made_it() -> None:
    told = json.loads((ASSETS / "provenance.json").read_text())
    assert told["sha256"] == CHOICE["sha256"]
    assert len(told["dataset_digest"]) == 64
    assert len(told["commit"]) == 40
    card = (ASSETS / "README.md").read_text()
    for word in ("CC0", "sprites32", "Limits", told["dataset_digest"][:12]):
        assert word in card


def test_it_draws_what_is_asked_for() -> None:
    """Not beauty: that prompts decide, edges are hard, and colour words are heard."""
    cfg = ModelConfig(family=FamilyName.pixelnano, path=ASSETS, sha256=CHOICE["sha256"])
    model = load_model(cfg, device="cpu")

    def draw(prompt: str) -> np.ndarray:  # type: ignore[type-arg]
        images = sample_pixels(
            model, prompts=[prompt] * 4, indices=range(4), run_seed=0, device="cpu",
            sampler=SamplerConfig(num_steps=12), precision=Precision.fp32,
        )  # fmt: skip
        assert set(np.unique(images[..., 3])) <= {0, 255}
        return images

    def mean_rgb(images: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        return images[images[..., 3] > 0][:, :3].mean(axis=0)

    red, blue = mean_rgb(draw("red cloak")), mean_rgb(draw("blue cloak"))
    assert red[0] - red[2] > blue[0] - blue[2] + 20
    share = {p: (draw(p)[..., 3] > 0).mean() for p in ("fire storm spell icon", "dagger")}
    assert share["fire storm spell icon"] > share["dagger"] + 0.2, "icons fill the square"


@pytest.mark.filterwarnings("ignore")
def test_it_loads_through_diffusers_own_call() -> None:
    pipeline = PixelnanoPipeline.from_pretrained(ASSETS, local_files_only=True)
    (image,) = pipeline("orc warrior", num_inference_steps=2)
    assert image.size == (32, 32)
    assert image.mode == "RGBA"
