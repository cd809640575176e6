"""What a trained LoRA's header says: read back from a file of a real, short training."""

import ast
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from accelerate.state import AcceleratorState

from pipeline.core.files import write_json
from pipeline.core.rundir import RunDir
from pipeline.data.conf import DataConfig
from pipeline.data.dataset import Dataset
from pipeline.generate.conf import Precision, SamplerConfig
from pipeline.models.conf import FamilyName, LoraConfig, ModelConfig
from pipeline.models.lora_header import made_sha256, read_header
from tests.fakes.ranks import train_here
from train.conf import OptimConfig, TrainConfig
from train.metadata import NUM_TAGS, count_tags, training_metadata


@pytest.fixture(autouse=True)
def fresh_accelerate() -> Iterator[None]:
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def config(path: Path, **changes: Any) -> TrainConfig:
    told: dict[str, Any] = {
        "model": ModelConfig(family=FamilyName.pixelnano),
        "data": DataConfig(path=path, trigger="dgx"),
        "lora": LoraConfig(rank=2, alpha=3.0), "optim": OptimConfig(lr=2e-3, warmup_images=16),
        "sampler": SamplerConfig(num_steps=1), "num_images": 24, "batch_size": 8, "num_samples": 1,
        "seed": 7,
    }  # fmt: skip
    return TrainConfig(**(told | changes))


def test_the_files_of_a_run_say_what_it_was(smoke_data: Path, tmp_path: Path) -> None:
    runs = [RunDir(tmp_path / "tiles" / name) for name in ("a", "b")]
    for run in runs:
        run.path.mkdir(parents=True)
        write_json(run.code_json, {"commit": "c" * 40, "diff_sha256": None})
        train_here(config(smoke_data), run.path)
    for file in ("pytorch_lora_weights.safetensors", "pytorch_lora_weights_kohya.safetensors"):
        told, _, _ = read_header(runs[0].lora / file)
        dataset = Dataset.open(smoke_data)
        captions = dataset.split("train").captions
        assert told["dgx_pixels_run"] == "tiles/a"
        assert told["ss_output_name"] == "a"
        assert told["dgx_pixels_code_commit"] == "c" * 40
        assert "dgx_pixels_code_diff_sha256" not in told
        (data,) = json.loads(told["dgx_pixels_data"])
        assert data["digest"] == dataset.digest
        assert data["licences"] == dataset.card["licences"] != []
        assert data["num_train_images"] == len(captions) == int(told["ss_num_train_images"])
        (tags,) = json.loads(told["ss_tag_frequency"]).values()
        assert Counter(tags).total() >= len(captions)
        assert told["modelspec.trigger_phrase"] == "dgx"
        # What modelspec says a file must have, and what is known of that which it should.
        for key in (
            "sai_model_spec",
            "architecture",
            "implementation",
            "title",
            "resolution",
            "hash_sha256",
            "description",
        ):
            assert told[f"modelspec.{key}"], key
        assert told["ss_network_dim"] == "2"
        assert told["ss_network_alpha"] == "3.0"
        assert told["ss_learning_rate"] == "0.002"
        assert told["ss_max_train_steps"] == "3"
        assert told["ss_lr_warmup_steps"] == "2"
        assert ast.literal_eval(told["ss_resolution"]) == (32, 32)
        # Never a time: the same run gives the same file.
        assert not {key for key in told if "time" in key or "date" in key or "started" in key}
        # The two runs differ in their names alone.
        other = runs[1].lora / file
        assert other.read_bytes() != (runs[0].lora / file).read_bytes()
        assert made_sha256(other) == made_sha256(runs[0].lora / file)


def test_what_is_not_known_or_not_so_is_left_out(smoke_data: Path, tmp_path: Path) -> None:
    dataset = Dataset.open(smoke_data)
    cfg = config(smoke_data, precision=Precision.bf16, data=DataConfig(path=smoke_data))
    told = training_metadata(cfg, dataset, RunDir(tmp_path / "tiles" / "x"))
    assert "dgx_pixels_code_commit" not in told
    assert "ss_sd_model_name" not in told
    assert "modelspec.trigger_phrase" not in told
    assert told["ss_mixed_precision"] == "bf16"
    assert told["ss_text_encoder_lr"] == "None"
    assert told["ss_flip_aug"] == str(dataset.flip_ok)
    still = config(smoke_data, data=DataConfig(path=smoke_data, flip=False))
    assert training_metadata(still, dataset, RunDir(tmp_path))["ss_flip_aug"] == "False"
    named = config(smoke_data, model=ModelConfig(family=FamilyName.sdxl, path=Path("/x/sdxl-base")))
    told = training_metadata(named, dataset, RunDir(tmp_path / "tiles" / "x"))
    assert told["ss_sd_model_name"] == "sdxl-base"


def test_tags_are_counted_and_not_without_end() -> None:
    assert count_tags(["a, b", "a,,c", " b"]) == {"a": 2, "b": 2, "c": 1}
    many = count_tags([f"t{i:05d}" for i in range(NUM_TAGS + 5)] + ["often", "often"])
    assert len(many) == NUM_TAGS
    assert next(iter(many)) == "often"
