"""Names and lineage on W&B; docs/wandb.md has the scheme."""

import json

import pytest

from jobs.runtime.naming import made_by, naming, used_by
from pipeline.core.rundir import RunDir


@pytest.fixture
def folder(tmp_path):
    def make(name):
        path = tmp_path / "runs" / name
        path.mkdir(parents=True)
        (path / "run.json").write_text("{}")
        return RunDir(path)

    return make


@pytest.fixture
def art(tmp_path):
    path = tmp_path / "art"
    path.mkdir()
    (path / "dataset.json").write_text(json.dumps({"name": "tiles", "digest": "ab" * 32}))
    return path


def test_one_run_id_in_two_jobs_makes_two_ids_in_one_group(folder):
    train, generate = (naming(folder(f"{job}/tiles/a"), {}, []) for job in ("train", "generate"))
    assert train.id != generate.id
    assert train.group == generate.group == "tiles"
    assert (train.job_type, generate.job_type) == ("train", "generate")


def test_tags_are_those_asked_for_and_the_models_once(folder):
    config = {"model": {"family": "sdxl", "size_px": 1024}}
    assert naming(folder("train/a/b"), config, ["sdxl", "x"]).tags == ("sdxl", "x", "1024px")


@pytest.mark.parametrize("config", [{}, {"model": None}, {"model": "sdxl"}, {"data": None}])
def test_a_config_without_a_model_or_data_is_named_and_uses_nothing(folder, config):
    run_dir = folder("train/a/b")
    assert naming(run_dir, config, []).tags == ()
    assert used_by(run_dir, config) == []


def test_what_prepare_makes_is_what_a_training_uses(folder, art):
    (made,) = made_by(folder("prepare/tiles/d"), {"out": str(art)})
    (version,) = made.aliases
    used = used_by(folder("train/tiles/a"), {"data": {"path": str(art)}})
    assert used == [f"{made.name}:{version}"]


def test_what_a_training_makes_is_what_a_generation_uses_and_so_on(folder):
    train, generate = folder("train/tiles/a"), folder("generate/tiles/g")
    train.lora.mkdir()
    (train.lora / "x.safetensors").touch()
    (generate.path / "recipe.json").touch()
    (lora,) = made_by(train, {})
    path = str(train.lora / "x.safetensors")
    for loras in ({"loras": [{"path": path}]}, {"variants": [{"loras": [{"path": path}]}]}):
        assert used_by(generate, loras) == [f"{lora.name}:latest"]
    (sprites,) = made_by(generate, {})
    config = {"run": str(generate.path), "base": str(generate.path), "art": None}
    assert used_by(folder("evaluate/tiles/e"), config) == [f"{sprites.name}:latest"]


def test_a_run_that_made_nothing_has_no_artifact(folder):
    for job in ("train", "generate", "bench", "prepare"):
        assert made_by(folder(f"{job}/a/b"), {}) == []


def test_an_adapter_from_elsewhere_is_no_runs(folder, tmp_path):
    config = {"loras": [{"path": str(tmp_path / "elsewhere" / "x.safetensors")}]}
    assert used_by(folder("generate/a/b"), config) == []
