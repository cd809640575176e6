"""Jobs of an array at once, of unequal speed, with a model that costs nothing."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pipeline.core.manifest import read_manifest
from pipeline.core.metrics import NullTracker
from pipeline.core.outcome import Outcome
from pipeline.core.rundir import RunDir
from pipeline.core.world import World
from pipeline.generate.conf import GateConfig, GenerateConfig
from pipeline.generate.loop import make_all
from pipeline.generate.summary import read_records
from pipeline.generate.verify import check_run
from pipeline.generate.work import Item, build_work
from pipeline.models.conf import FamilyName, ModelConfig

NUM_IMAGES = 60


def config(**changes: object) -> GenerateConfig:
    told: dict[str, object] = {"prompts": ["a", "b", "c"], "num_seeds": 20, "batch_size": 3}
    return GenerateConfig(model=ModelConfig(family=FamilyName.pixelnano), **(told | changes))  # type: ignore[arg-type]


def null_model(drawn: list[int], delay_s: float) -> Callable[..., torch.Tensor]:
    """Draw a third of round 0 all but empty, so that gates have something to turn away."""

    def draw(items: list[Item], *, attempt: int) -> torch.Tensor:
        time.sleep(delay_s)
        images = []
        for item in items:
            drawn.append(item.index)
            generator = torch.Generator().manual_seed(1000 * attempt + item.index)
            image = torch.randint(0, 256, (8, 8, 4), dtype=torch.uint8, generator=generator)
            image[..., 3] = 0 if attempt == 0 and item.index % 3 == 0 else 255
            images.append(image)
        return torch.stack(images)

    return draw


def make(
    path: Path, cfg: GenerateConfig, world: World, draw: Callable[..., torch.Tensor]
) -> Outcome:
    work, run_dir = build_work(cfg), RunDir(path)
    path.mkdir(parents=True, exist_ok=True)
    return make_all(
        cfg, work, draw, model_sha256="0" * 64, loras=[[]], world=world,
        run_dir=run_dir, tracker=NullTracker(), should_stop=lambda: False,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def quick_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.generate.turn.POLL_S", 0.02)


@pytest.mark.parametrize("stale_s", [60.0, 0.05])
def test_jobs_of_unequal_speed_make_each_image_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stale_s: float
) -> None:
    """Nothing is drawn twice where claims hardly age; where they do, nothing else changes."""
    monkeypatch.setattr("pipeline.generate.claims.STALE_S", stale_s)
    monkeypatch.setattr("pipeline.generate.claims.STALE_BATCHES", 0.0)
    cfg = config(gates=GateConfig(max_redraws=1, min_coverage=0.5))
    drawn: list[int] = []
    outcomes: dict[int, Outcome] = {}

    def job(index: int, delay_s: float) -> None:
        world = World(array_index=index, array_size=3)
        draw = null_model(drawn, delay_s)
        outcomes[index] = make(tmp_path / "many" / "run", cfg, world, draw)

    threads = [
        threading.Thread(target=job, args=(i, delay)) for i, delay in enumerate((0.002, 0.03, 0.2))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert all(outcomes[i].finished for i in range(3))
    many = RunDir(tmp_path / "many" / "run")
    assert list(check_run(many)) == []
    records = read_records(many)
    assert [r["attempt"] for r in records] == [int(i % 3 == 0) for i in range(NUM_IMAGES)]
    if stale_s > 1:
        assert len(drawn) == NUM_IMAGES + NUM_IMAGES // 3
    one = tmp_path / "one" / "run"
    make(one, cfg, World(), null_model([], 0))
    for file in (one / "images").iterdir():
        assert file.read_bytes() == (many.images / file.name).read_bytes()


def test_an_array_needs_none_of_its_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.generate.claims.STALE_S", 0.0)
    drawn: list[int] = []
    world = World(array_index=2, array_size=3)
    assert make(tmp_path / "run", config(), world, null_model(drawn, 0)).finished
    assert sorted(drawn) == list(range(NUM_IMAGES))
    assert list(check_run(RunDir(tmp_path / "run"))) == []


def test_a_redraw_that_was_killed_before_its_record_is_made_again(tmp_path: Path) -> None:
    cfg = config(gates=GateConfig(max_redraws=1, min_coverage=0.5))
    draw = null_model([], 0)
    make(tmp_path / "run", cfg, World(), draw)
    run = RunDir(tmp_path / "run")
    before = {p.name: p.read_bytes() for p in run.images.iterdir()}
    manifest = run.manifest(0)
    lines = manifest.read_bytes().splitlines(keepends=True)
    manifest.write_bytes(b"".join(lines[:-2]))
    last = [r for r in map(dict, read_manifest(manifest)) if r["attempt"] == 1]
    assert len(last) == NUM_IMAGES // 3 - 2
    drawn: list[int] = []
    outcome = make(tmp_path / "run", cfg, World(), null_model(drawn, 0))
    assert outcome.finished
    assert set(drawn) < set(range(0, NUM_IMAGES, 3)), "round 0 is not drawn again"
    assert outcome.position == NUM_IMAGES + NUM_IMAGES // 3
    assert {p.name: p.read_bytes() for p in run.images.iterdir()} == before
    assert list(check_run(run)) == []


def test_who_waits_and_draws_for_a_dead_one_does_not_pause_for_as_long_as_that_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.generate.claims.STALE_S", 0.3)
    monkeypatch.setattr("pipeline.generate.claims.STALE_BATCHES", 0.0)
    slept_s: list[float] = []

    def sleep(seconds: float) -> None:
        slept_s.append(seconds)
        time.sleep(seconds)

    monkeypatch.setattr("pipeline.generate.turn.sleep", sleep)
    cfg = config()
    for batch in build_work(cfg).cut(range(NUM_IMAGES), batch_size=3):
        claim = tmp_path / "run" / "claims" / batch.name
        claim.parent.mkdir(parents=True, exist_ok=True)
        claim.write_text("dead")
    world = World(array_index=1, array_size=2)
    assert make(tmp_path / "run", cfg, world, null_model([], 0.1)).finished
    # It draws for 2 s, and looks for less than a hundredth of that.
    assert sum(slept_s) < 5
