"""A finished full training becomes the embedded default: fp16, whole, with its provenance."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file

from pipeline.core.errors import InputError
from pipeline.core.files import sha256_file, write_json
from pipeline.core.metrics import NullTracker
from pipeline.core.rundir import RunDir
from pipeline.core.world import World
from pipeline.data.conf import DataConfig
from pipeline.models.conf import FamilyName, ModelConfig
from pipeline.models.pixelnano import ASSETS
from pipeline.models.registry import load_model
from train.conf import Adapter, TrainConfig
from train.run import run_training
from train.ship import ship


def test_a_run_is_shipped_and_loads_under_its_digests(smoke_data: Path, tmp_path: Path) -> None:
    run, assets = RunDir(tmp_path / "run"), tmp_path / "assets"
    cfg = TrainConfig(
        model=ModelConfig(family=FamilyName.pixelnano), data=DataConfig(path=smoke_data),
        adapter=Adapter.full, num_images=8, batch_size=8, validate_every=0, sample_every=0,
    )  # fmt: skip
    outcome = run_training(
        cfg, world=World(), run_dir=run, tracker=NullTracker(), should_stop=lambda: False
    )
    AcceleratorState._reset_state(reset_partial_state=True)
    write_json(run.run_json, {"status": "stopped", "figures": outcome.figures, "attempts": []})
    with pytest.raises(InputError, match="no finished run"):
        ship(run, assets)
    write_json(run.run_json, {"status": "finished", "figures": outcome.figures, "attempts": []})
    config = {"name": "smoke", "data": {"path": str(smoke_data)}, "model": {"path": None}}
    run.config.write_text(json.dumps(config))
    write_json(run.code_json, {"commit": "abc", "diff_sha256": None, "lock_sha256": None})
    write_json(run.env_json, {"packages": {}})
    shutil.copytree(ASSETS / "tokenizer", assets / "tokenizer")

    digests = ship(run, assets)

    assert set(digests) == {
        "unet/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors",
    }  # fmt: skip
    assert all(sha256_file(assets / name) == digest for name, digest in digests.items())
    told = json.loads((assets / "provenance.json").read_text())
    assert told["sha256"] == digests
    assert told["figures"]["num_images"] == 8
    assert told["licences"] == ["CC0-1.0"]
    assert told["before"] is None
    texts = [file.read_text() for file in assets.rglob("*.json")]
    assert not any(str(tmp_path) in text for text in texts), "nor where it was made"
    loaded = load_model(
        ModelConfig(family=FamilyName.pixelnano, path=assets, sha256=digests), device="cpu"
    )
    trained = load_file(run.path / "model" / "unet" / "diffusion_pytorch_model.safetensors")
    for name, tensor in loaded.pipeline.unet.state_dict().items():
        assert torch.equal(tensor, trained[name].half().float())

    # A second stage tells of the first: from the shipped model, and from the run itself.
    run.config.write_text(json.dumps(config | {"model": {"path": str(assets)}}))
    ship(run, assets)
    before = json.loads((assets / "provenance.json").read_text())["before"]
    assert before["sha256"] == digests
    first = RunDir(tmp_path / "first")
    shutil.copytree(run.path, first.path)
    first.config.write_text(json.dumps(config))
    run.config.write_text(json.dumps(config | {"model": {"path": str(first.path / "model")}}))
    ship(run, assets)
    before = json.loads((assets / "provenance.json").read_text())["before"]
    assert (before["before"], before["figures"]["num_images"]) == (None, 8)
    run.config.write_text(json.dumps(config | {"model": {"path": str(tmp_path)}}))
    with pytest.raises(InputError, match="neither"):
        ship(run, assets)
