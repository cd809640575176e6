"""Gates, variants, sizes, wrapping and arrays, through the whole loop with the blank model."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from pipeline.core.errors import InputError
from pipeline.core.manifest import read_manifest
from pipeline.core.metrics import NullTracker
from pipeline.core.outcome import Outcome
from pipeline.core.rundir import RunDir
from pipeline.core.world import World
from pipeline.generate.conf import (
    ComputeConfig,
    GateConfig,
    GenerateConfig,
    LoraVariant,
    SamplerConfig,
    Wrap,
)
from pipeline.generate.loop import generate
from pipeline.generate.summary import read_records
from pipeline.models import lora
from pipeline.models.conf import FamilyName, LoraConfig, LoraUse, ModelConfig, Targets
from pipeline.models.lora_files import save_lora
from pipeline.models.registry import load_model

BLANK = ModelConfig(family=FamilyName.pixelnano)


def config(**changes: object) -> GenerateConfig:
    told: dict[str, object] = {
        "prompts": ["orc", "elf"], "num_seeds": 2, "batch_size": 3,
        "sampler": SamplerConfig(num_steps=1, guidance_scale=1.0),
    }  # fmt: skip
    return GenerateConfig(model=BLANK, **(told | changes))  # type: ignore[arg-type]


def run(
    path: Path,
    cfg: GenerateConfig,
    *,
    world: World | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    return generate(
        cfg, world=world or World(), run_dir=RunDir(path), tracker=NullTracker(),
        should_stop=should_stop,
    )  # fmt: skip


def pixels(path: Path) -> list[np.ndarray]:  # type: ignore[type-arg]
    return [np.asarray(Image.open(file)) for file in sorted((path / "images").iterdir())]


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = load_model(BLANK, device="cpu")
    cfg = LoraConfig(rank=2, targets=Targets.all)
    lora.attach(model, cfg, seed=0)
    with torch.no_grad():
        for parameter in lora.trainable(model).values():
            parameter += 0.05
    folder = tmp_path_factory.mktemp("lora")
    return next(p for n, p in save_lora(model, cfg, folder).items() if "kohya" not in p.name)


def test_what_the_gates_turn_away_is_drawn_again_the_same_on_any_ranks(tmp_path: Path) -> None:
    # The blank model draws noise; this bound lies within what it covers.
    first = run(tmp_path / "plain" / "run", config(num_seeds=8))
    assert first.finished
    coverage = sorted(r["coverage"] for r in read_records(RunDir(tmp_path / "plain" / "run")))
    gates = GateConfig(max_redraws=2, min_coverage=coverage[len(coverage) // 2])
    cfg = config(num_seeds=8, gates=gates)
    one = run(tmp_path / "one" / "run", cfg)
    again = run(tmp_path / "one" / "run", cfg)
    records = read_records(RunDir(tmp_path / "one" / "run"))
    assert [r["index"] for r in records] == list(range(16))
    assert {r["attempt"] for r in records} >= {0, 1}
    for r in records:
        assert r["accepted"] == (r["coverage"] >= gates.min_coverage)
        assert r["accepted"] or r["attempt"] == 2
    assert one.figures["num_redrawn"] == sum(r["attempt"] > 0 for r in records)
    assert again.figures["num_images_this_attempt"] == 0
    # Two ranks, one after the other: each waits for the other's round, so they take turns here.
    two = tmp_path / "two" / "run"
    for _ in range(6):
        outcomes = [
            run(two, cfg, world=World(rank=rank, world_size=2), should_stop=_after(12))
            for rank in (1, 0)
        ]
        if all(outcome.finished for outcome in outcomes):
            break
    assert outcomes[1].finished
    names = [p.name for p in sorted((two / "images").iterdir())]
    assert len(names) == 16
    for name in names:
        here, there = (tmp_path / d / "run" / "images" / name for d in ("one", "two"))
        assert here.read_bytes() == there.read_bytes()


def _after(calls: int) -> Callable[[], bool]:
    left = iter(range(calls))
    return lambda: next(left, None) is None


def test_near_duplicates_are_drawn_again(tmp_path: Path) -> None:
    # The same seed in two rows is the same picture twice.
    rows = [{"prompt": "orc", "seed": 5}, {"prompt": "orc", "seed": 5}]
    file = tmp_path / "p.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    cfg = config(prompts=[], prompts_file=file, num_seeds=1)
    assert run(tmp_path / "off", cfg).finished
    left, right = pixels(tmp_path / "off")
    assert (left == right).all()
    cfg.gates = GateConfig(max_redraws=1, near_duplicate_bits=0)
    assert run(tmp_path / "on", cfg).figures["num_redrawn"] == 1
    left, right = pixels(tmp_path / "on")
    assert (left != right).any()


def test_variants_share_noise_and_swap_adapters(tmp_path: Path, adapter: Path) -> None:
    use = LoraUse(path=adapter)
    variants = [
        LoraVariant(name="base"),
        LoraVariant(name="full", loras=[use]),
        LoraVariant(name="none", loras=[LoraUse(path=adapter, weight=0.0)]),
        LoraVariant(name="base again"),
    ]
    run(tmp_path / "all", config(variants=variants))
    base, full, none, again = np.split(np.stack(pixels(tmp_path / "all")), 4)
    assert (base == again).all(), "after an adapter the base is the base"
    assert (base == none).all()
    assert (base != full).any()
    run(tmp_path / "fused", config(loras=[use]))
    fused = np.stack(pixels(tmp_path / "fused")).astype(int)
    assert np.abs(fused - full).max() <= 2, "fused or not is a matter of rounding"
    run(tmp_path / "apart", config(loras=[use], compute=ComputeConfig(fuse_loras=False)))
    assert (np.stack(pixels(tmp_path / "apart")) == full).all()
    told = [r["variant"] for r in read_records(RunDir(tmp_path / "all"))]
    assert told == [v.name for v in variants for _ in range(4)]


def test_sizes_are_drawn_one_block_after_another(tmp_path: Path) -> None:
    run(tmp_path, config(sizes_px=[16, 32, 48]))
    assert [p.shape for p in pixels(tmp_path)] == [(s, s, 4) for s in (16, 32, 48) for _ in "1234"]


def test_wrapped_pictures_do_not_know_where_their_edge_is(tmp_path: Path) -> None:
    """Rolled noise gives the rolled picture: nothing marks the edge. By whole cells of the UNet."""
    from pipeline.generate.draw import Drawer
    from pipeline.generate.sample import denoise
    from pipeline.generate.text import TextCache

    def draw(wrap: Wrap, shift: tuple[int, int]) -> torch.Tensor:
        sampler = SamplerConfig(num_steps=2, guidance_scale=1.0, wrap=wrap)
        from pipeline.generate.conf import Precision

        drawer = Drawer(
            load_model(BLANK, device="cpu"), variants=[[]], sampler=sampler,
            compute=ComputeConfig(), precision=Precision.fp32, device="cpu",
        )  # fmt: skip
        noise = torch.randn(1, 16, 16, 16, generator=torch.Generator().manual_seed(0))
        out = denoise(
            drawer.model, noise.roll(shift, (2, 3)),
            TextCache(drawer.model).conditioning(["orc"], []), sampler=sampler, device="cpu",
            precision=Precision.fp32,
        )  # fmt: skip
        # Two pixels a cell of the latents, four cells a cell of the lowest level.
        return out.roll((-2 * shift[0], -2 * shift[1]), (2, 3))

    for wrap, shift, is_same in (
        (Wrap.both, (4, 8), True), (Wrap.x, (0, 4), True), (Wrap.y, (8, 0), True),
        (Wrap.x, (4, 0), False), (Wrap.none, (0, 4), False),
    ):  # fmt: skip
        off = (draw(wrap, (0, 0)) - draw(wrap, shift)).abs().max().item()
        assert (off < 1e-3) == is_same, (wrap, shift, off)


def test_jobs_of_an_array_share_the_work_and_take_over_what_a_dead_one_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.generate.turn.POLL_S", 0.01)
    cfg = config(num_seeds=9)
    run(tmp_path / "one" / "run", cfg)
    run_path = tmp_path / "three" / "run"
    dead = run(run_path, cfg, world=World(array_index=2, array_size=3), should_stop=_after(2))
    assert not dead.finished
    # What it claimed last is not there: claimed, and never drawn.
    monkeypatch.setattr("pipeline.generate.claims.STALE_S", 0.0)
    for index in (0, 1):
        assert run(run_path, cfg, world=World(array_index=index, array_size=3)).finished
    records = [r for m in sorted(run_path.glob("manifest-*")) for r in read_manifest(m)]
    assert sorted(r["index"] for r in records) == list(range(18))
    assert len(list(run_path.glob("manifest-*.jsonl"))) == 3
    for file in (tmp_path / "one" / "run" / "images").iterdir():
        assert file.read_bytes() == (run_path / "images" / file.name).read_bytes()


def test_a_full_disk_stops_the_run_and_leaves_it_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pipeline.generate.store

    write, calls = pipeline.generate.store.write_atomic, iter(range(99))

    def full(path: Path, data: bytes) -> None:
        if next(calls) == 4:
            raise OSError(28, "No space left on device", str(path))
        write(path, data)

    monkeypatch.setattr(pipeline.generate.store, "write_atomic", full)
    with pytest.raises(OSError, match="No space"):
        run(tmp_path, config(num_seeds=4))
    monkeypatch.undo()
    assert run(tmp_path, config(num_seeds=4)).finished
    assert [r["index"] for r in read_records(RunDir(tmp_path))] == list(range(8))


def test_another_adapter_under_the_same_name_is_refused(tmp_path: Path, adapter: Path) -> None:
    cfg = config(loras=[LoraUse(path=adapter)])
    run(tmp_path, cfg)
    cfg.loras[0].weight = 0.5
    with pytest.raises(InputError, match="loras"):
        run(tmp_path, cfg)


def test_an_adapter_given_twice_counts_twice(tmp_path: Path, adapter: Path) -> None:
    halves = [LoraUse(path=adapter, weight=0.5)] * 2
    apart = ComputeConfig(fuse_loras=False)
    run(tmp_path / "twice", config(loras=halves, compute=apart))
    run(tmp_path / "once", config(loras=[LoraUse(path=adapter)], compute=apart))
    assert (np.stack(pixels(tmp_path / "twice")) == np.stack(pixels(tmp_path / "once"))).all()


def test_an_adapter_for_other_layers_is_named(tmp_path: Path) -> None:
    file = tmp_path / "foreign.safetensors"
    names = ("transformer.blocks.0.lora_A.weight", "transformer.blocks.0.lora_B.weight")
    save_file({name: torch.zeros(2, 2) for name in names}, file)
    with pytest.raises(InputError, match=r"foreign\.safetensors"):
        run(tmp_path / "run", config(loras=[LoraUse(path=file)]))


def test_a_contact_sheet_of_big_pictures_stays_small(tmp_path: Path) -> None:
    run(tmp_path, config(sizes_px=[256], prompts=["orc"]))
    with Image.open(tmp_path / "contact_sheet.png") as sheet:
        assert max(sheet.size) < 300


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_compiled_blocks_draw_the_same(tmp_path: Path, adapter: Path) -> None:
    variants = [LoraVariant(name="base"), LoraVariant(name="l", loras=[LoraUse(path=adapter)])]
    run(tmp_path / "plain", config(variants=variants))
    compute = ComputeConfig(compile=True, channels_last=True)
    run(tmp_path / "compiled", config(variants=variants, compute=compute))
    plain, compiled = (
        np.stack(pixels(tmp_path / name)).astype(int) for name in ("plain", "compiled")
    )
    assert (np.abs(plain - compiled) <= 2).mean() > 0.99
