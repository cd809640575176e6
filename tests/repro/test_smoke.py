"""The engine, on the shipped model and in few steps: what is measured, and what is found."""

from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.core.errors import InputError
from pipeline.core.metrics import NullTracker
from pipeline.core.rundir import RunDir
from pipeline.core.world import World
from pipeline.generate.conf import SamplerConfig
from pipeline.models import lora
from pipeline.models.conf import FamilyName, LoraConfig, LoraUse, ModelConfig
from pipeline.models.lora_files import save_lora
from pipeline.models.pixelnano import ASSETS
from pipeline.models.registry import load_model
from repro.reference import Check, check, kind_of, read_reference, record
from repro.smoke import PROMPTS, Smoke, TimedDraw, p95_s, run_smoke, smoke_config
from tests.repro.made import environment

MODEL = ModelConfig(family=FamilyName.pixelnano, path=ASSETS)
FEW = {"sampler": SamplerConfig(num_steps=3, guidance_scale=3.0), "prompts": list(PROMPTS[:4])}


def run(folder: Path, **changes: Any) -> Smoke | None:
    stops = changes.pop("stops", False)
    world = changes.pop("world", World())
    return run_smoke(
        smoke_config(MODEL, **(FEW | changes)),
        world=world,
        run_dir=RunDir(folder),
        tracker=NullTracker(),
        should_stop=lambda: stops,
    )


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Smoke:
    made = run(tmp_path_factory.mktemp("run"))
    assert made is not None
    return made


@pytest.fixture(scope="module")
def recorded(drawn: Smoke, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reference")
    record(folder, drawn, kind=kind_of(environment(), drawn))
    return folder


def checked(recorded: Path, made: Smoke | None, *, exact: bool) -> Check:
    assert made is not None
    kind = kind_of(environment(), made) if exact else None
    return check(made, read_reference(recorded), kind=kind)


def test_all_of_the_work_is_fixed() -> None:
    cfg = smoke_config(MODEL)
    assert len(set(cfg.prompts)) == 10
    assert (cfg.num_seeds, cfg.batch_size, cfg.precision.value) == (1, 1, "fp32")


def test_it_is_measured_picture_by_picture(drawn: Smoke) -> None:
    assert len(drawn.pictures) == len(drawn.latency_s) == 4
    assert all(latency > 0 for latency in drawn.latency_s)
    # Files take time too: end to end is never faster than drawing alone, up to rounding.
    assert drawn.rate_img_per_s is not None
    assert 0 < drawn.rate_img_per_s <= 4 / sum(drawn.latency_s) + 0.01
    assert drawn.peak_memory_mib > 50
    assert "resident" in drawn.peak_memory_of


def test_twice_the_same_and_threads_stay_as_they_were(recorded: Path, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    assert checked(recorded, run(tmp_path / "one"), exact=True).passed
    assert torch.get_num_threads() == before


def test_another_number_of_threads_is_within_tolerance_and_is_named(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 3 threads the last bit of a sum may move, and a byte with it."""
    monkeypatch.setattr("repro.smoke.NUM_THREADS", 3)
    made = run(tmp_path / "three")
    assert made is not None
    with pytest.raises(InputError, match="num_threads"):
        checked(recorded, made, exact=True)
    made.settings["num_threads"] = 1
    assert checked(recorded, made, exact=False).passed


def adapter(folder: Path) -> Path:
    """Return an adapter that does something."""
    cfg = LoraConfig(rank=4, alpha=4.0)
    model = load_model(MODEL, device="cpu")
    lora.attach(model, cfg, seed=0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in lora.trainable(model).values():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return save_lora(model, cfg, folder, metadata={})["diffusers"]


@pytest.mark.parametrize("what", ["seed", "prompt", "lora"])
def test_another_seed_prompt_or_lora_is_found(recorded: Path, tmp_path: Path, what: str) -> None:
    """By the tolerance alone, as on a GPU; what is recorded of settings would name it before."""
    changes: dict[str, Any] = {
        "seed": lambda: {"seed": 1},
        "prompt": lambda: {"prompts": [f"{prompt} icon" for prompt in PROMPTS[:4]]},
        "lora": lambda: {"loras": [LoraUse(path=adapter(tmp_path / "lora"))]},
    }[what]()
    made = run(tmp_path / "run", **changes)
    assert made is not None
    made.settings.update(read_reference(recorded).settings)
    told = checked(recorded, made, exact=False)
    assert not told.passed
    assert "tolerance" in told.by


def test_a_run_that_goes_on_measures_only_what_it_draws(tmp_path: Path, recorded: Path) -> None:
    assert run(tmp_path, stops=True) is None
    first = run(tmp_path)
    assert first is not None
    (RunDir(tmp_path).images / first.pictures[1].file).unlink()
    second = run(tmp_path)
    assert second is not None
    assert (len(second.latency_s), second.rate_img_per_s) == (1, None)
    assert checked(recorded, second, exact=True).passed
    third = run(tmp_path)
    assert third is not None
    assert p95_s(third.latency_s) is None


def test_more_than_one_process_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cluster\.tasks_per_node"):
        run(tmp_path, world=World(world_size=2))


def test_each_picture_of_a_batch_took_as_long_as_the_batch() -> None:
    calls: list[int] = []

    def draw(items: list[Any], *, attempt: int) -> torch.Tensor:
        calls.append(len(items))
        return torch.zeros(len(items))

    timed = TimedDraw(draw, device="cpu")
    timed.warm_up(None)  # type: ignore[arg-type]
    timed([None] * 3, attempt=0)  # type: ignore[list-item]
    assert calls == [1, 3]
    assert len(timed.latency_s) == 3
    assert len(set(timed.latency_s)) == 1


def test_p95_lies_between_the_two_nearest() -> None:
    assert p95_s([0.1 * n for n in range(1, 11)]) == pytest.approx(0.955)
