import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from pipeline.core.errors import InputError
from pipeline.core.rundir import RunDir
from pipeline.models.lora_header import RUN_KEY, with_metadata
from repro.compare import compare_runs, trace


def make_run(path: Path, *, loss: float = 0.5, weights: bytes = b"w", speed: float = 1.0) -> RunDir:
    run = RunDir(path)
    for folder in (run.checkpoints / "000000000064", run.lora, run.images):
        folder.mkdir(parents=True)
    run.config.write_text("seed: 0\n")
    (run.checkpoints / "000000000064" / "weights.safetensors").write_bytes(weights)
    (run.lora / "pytorch_lora_weights.safetensors").write_bytes(weights)
    (run.images / "000000000.png").write_bytes(b"png")
    rows: list[dict[str, float]] = [
        {"num_images": 64, "train/loss": loss, "speed/img_per_s": speed},
        {"num_images": 64, "speed/img_per_s": speed},
    ]
    run.metrics.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return run


def test_equal_runs_are_equal_whatever_their_speed(tmp_path: Path) -> None:
    verdicts = compare_runs(make_run(tmp_path / "a"), make_run(tmp_path / "b", speed=9.0))
    assert {v.what for v in verdicts} == {"checkpoint", "lora", "images", "loss trace"}
    assert all(v.equal for v in verdicts)


@pytest.mark.parametrize(
    ("change", "what"),
    [({"loss": 0.25}, {"loss trace"}), ({"weights": b"x"}, {"checkpoint", "lora"})],
)
def test_a_difference_is_named(tmp_path: Path, change: dict[str, float], what: set[str]) -> None:
    verdicts = compare_runs(make_run(tmp_path / "a"), make_run(tmp_path / "b", **change))  # type: ignore[arg-type]
    assert {v.what for v in verdicts if not v.equal} == what


def test_a_missing_file_and_an_older_checkpoint_differ(tmp_path: Path) -> None:
    left, right = make_run(tmp_path / "a"), make_run(tmp_path / "b")
    (right.images / "000000000.png").unlink()
    (right.checkpoints / "000000000064").rename(right.checkpoints / "000000000032")
    unequal = {v.what for v in compare_runs(left, right) if not v.equal}
    assert unequal == {"checkpoint", "images"}


def test_a_lora_that_names_another_run_is_the_same_lora(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / name) for name in ("a", "b", "c")]
    for run, value in zip(runs, (1.0, 1.0, 2.0), strict=True):
        data = with_metadata(save({"x": torch.tensor([value])}), {RUN_KEY: run.path.name})
        (run.lora / "pytorch_lora_weights.safetensors").write_bytes(data)
    assert all(v.equal for v in compare_runs(runs[0], runs[1]))
    assert {v.what for v in compare_runs(runs[0], runs[2]) if not v.equal} == {"lora"}


def test_rows_with_timings_alone_are_not_part_of_the_trace(tmp_path: Path) -> None:
    assert trace(make_run(tmp_path / "a")) == [{"num_images": 64, "train/loss": 0.5}]


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a")
    with pytest.raises(InputError, match="not a run folder"):
        compare_runs(run, RunDir(tmp_path))
