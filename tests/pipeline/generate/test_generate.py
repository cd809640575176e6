import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.core.errors import InputError
from pipeline.core.manifest import read_manifest
from pipeline.core.metrics import NullTracker
from pipeline.core.outcome import Outcome
from pipeline.core.rundir import RunDir
from pipeline.core.world import World
from pipeline.generate.conf import GenerateConfig, SamplerConfig, SamplerName
from pipeline.generate.loop import generate
from pipeline.generate.png import provenance_of
from pipeline.generate.work import build_work
from pipeline.models.conf import FamilyName, ModelConfig


def config(**changes: object) -> GenerateConfig:
    told: dict[str, object] = {
        "prompts": ["orc", "ruby potion", "grass floor tile"],
        "num_seeds": 3,
        "batch_size": 2,
        "sampler": SamplerConfig(num_steps=2),
    }
    return GenerateConfig(model=ModelConfig(family=FamilyName.pixelnano), **(told | changes))  # type: ignore[arg-type]


def run(
    path: Path,
    cfg: GenerateConfig,
    *,
    world: World | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    return generate(
        cfg,
        world=world or World(),
        run_dir=RunDir(path),
        tracker=NullTracker(),
        should_stop=should_stop,
    )


def make(path: Path, world_size: int = 1, cfg: GenerateConfig | None = None) -> dict[str, bytes]:
    # The main rank waits for the others: it comes last where one process plays them all.
    for rank in reversed(range(world_size)):
        world = World(rank=rank, world_size=world_size)
        assert run(path, cfg or config(), world=world).finished
    return {p.name: p.read_bytes() for p in sorted((path / "images").iterdir())}


def indices(path: Path) -> list[int]:
    return [r["index"] for m in sorted(path.glob("manifest-*")) for r in read_manifest(m)]


@pytest.fixture
def tmp_path(tmp_path: Path) -> Path:
    """A folder of one name: an image carries the name of its run."""
    return tmp_path / "run"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return make(tmp_path_factory.mktemp("one") / "run")


@given(st.integers(1, 7), st.integers(1, 6), st.integers(1, 9), st.integers(1, 5))
def test_every_image_is_dealt_once(prompts: int, seeds: int, batch: int, world_size: int) -> None:
    work = build_work(config(prompts=[f"p{i}" for i in range(prompts)], num_seeds=seeds))
    batches = work.cut(range(len(work)), batch_size=batch)
    dealt = [
        index
        for rank in range(world_size)
        for turn in World(rank=rank, world_size=world_size).deal(len(batches))
        for index in batches[turn].indices
    ]
    assert sorted(dealt) == list(range(prompts * seeds))


@pytest.mark.parametrize("world_size", [2, 3])
def test_any_number_of_ranks_makes_the_same_bytes(
    tmp_path: Path, undisturbed: dict[str, bytes], world_size: int
) -> None:
    assert make(tmp_path, world_size) == undisturbed
    assert sorted(indices(tmp_path)) == list(range(9))
    assert (tmp_path / "contact_sheet.png").is_file()


def test_what_is_missing_torn_or_changed_is_made_again(
    tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    make(tmp_path, 2)
    (tmp_path / "images" / "000000001.png").unlink()
    (tmp_path / "images" / "000000004.png").write_bytes(b"changed")
    manifest = tmp_path / "manifest-00001.jsonl"
    manifest.write_bytes(manifest.read_bytes()[:-5])
    untouched = tmp_path / "images" / "000000000.png"
    before = untouched.stat().st_mtime_ns
    assert make(tmp_path, 2) == undisturbed
    assert untouched.stat().st_mtime_ns == before
    assert set(indices(tmp_path)) == set(range(9))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"prompts": ["orc", "emerald potion", "grass floor tile"]}, ["prompts"]),
        ({"seed": 1}, ["work_sha256"]),
        ({"prompts": ["orc", "ruby potion"]}, ["prompts"]),
        ({"sampler": SamplerConfig(num_steps=3)}, ["num_steps", "2", "3"]),
        ({"batch_size": 3}, ["batch_size"]),
    ],
)
def test_images_of_something_else_are_not_gone_on_with(
    tmp_path: Path, change: dict[str, object], words: list[str]
) -> None:
    make(tmp_path)
    with pytest.raises(InputError) as refused:
        make(tmp_path, cfg=config(**change))
    assert all(word in str(refused.value) for word in words), refused.value


def _child(path: str) -> None:
    run(Path(path), config(num_seeds=40))


def test_a_killed_run_goes_on_and_makes_the_same(tmp_path: Path) -> None:
    child = multiprocessing.get_context("spawn").Process(target=_child, args=(str(tmp_path),))
    child.start()
    limit = time.monotonic() + 60
    while len(list((tmp_path / "images").glob("*.png"))) < 10:
        assert time.monotonic() < limit
        time.sleep(0.01)
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    assert len(list((tmp_path / "images").glob("*.png"))) < 120, "it was killed too late"
    resumed = make(tmp_path, cfg=config(num_seeds=40))
    assert sorted(indices(tmp_path)) == list(range(120))
    assert resumed == make(tmp_path.with_name("straight") / "run", cfg=config(num_seeds=40))


def test_a_stop_is_heard_between_batches(tmp_path: Path) -> None:
    calls = iter([False, True])
    outcome = run(tmp_path, config(), should_stop=lambda: next(calls))
    assert not outcome.finished
    assert outcome.figures["num_images"] == 2
    assert indices(tmp_path) == [0, 1]


def test_the_main_rank_ends_when_every_ranks_images_are_there(
    tmp_path: Path, undisturbed: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its word is the run's: it must not say finished, and not wait for a dead rank for ever."""
    two = {"world_size": 2}
    looked = 0

    def told_after_a_look() -> bool:
        nonlocal looked
        looked += 1
        return looked > 4

    stopped = run(tmp_path, config(), world=World(rank=0, **two), should_stop=told_after_a_look)
    assert not stopped.finished
    assert stopped.figures["num_images"] == 5
    assert not (tmp_path / "contact_sheet.png").exists()
    monkeypatch.setattr("pipeline.generate.turn.STALL_S", 0.5)
    with pytest.raises(InputError, match="4 of 9 are missing"):
        run(tmp_path, config(), world=World(rank=0, **two))
    assert run(tmp_path, config(), world=World(rank=1, **two)).finished
    whole = run(tmp_path, config(), world=World(rank=0, **two))
    assert whole.finished
    assert whole.figures["num_images"] == 9
    assert {p.name: p.read_bytes() for p in (tmp_path / "images").iterdir()} == undisturbed


def test_an_image_carries_what_made_it(undisturbed: dict[str, bytes]) -> None:
    with Image.open(BytesIO(undisturbed["000000004.png"])) as image:
        assert image.size == (32, 32)
        assert image.mode == "RGBA"
        assert set(image.getchannel("A").tobytes()) <= {0, 255}
        told = provenance_of(image)
    assert told["index"] == 4
    assert told["prompt"] == "ruby potion"
    assert told["seed_number"] == 1
    assert told["num_steps"] == 2
    assert len(told["model"]["sha256"]) == 64
    assert json.dumps(told)


# diffusers 0.42.1 hands a tensor to numpy in a way numpy 2 deprecates.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_seeds_and_samplers_matter(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    other_seed = make(tmp_path / "seed", cfg=config(seed=1))
    assert all(other_seed[name] != data for name, data in undisturbed.items())
    for name in (SamplerName.dpmpp_2m, SamplerName.euler):
        sampler = SamplerConfig(name=name, num_steps=2)
        left = make(tmp_path / "1" / name.value, cfg=config(sampler=sampler))
        right = make(tmp_path / "2" / name.value, cfg=config(sampler=sampler))
        assert left == right
        assert left != undisturbed


def test_guidance_is_on_within_its_interval_alone(
    tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    def pixels(name: str, **sampler: float) -> list[bytes]:
        cfg = config(sampler=SamplerConfig(num_steps=2, **sampler))  # type: ignore[arg-type]
        make(tmp_path / name, cfg=cfg)
        files = sorted((tmp_path / name / "images").iterdir())
        return [Image.open(file).tobytes() for file in files]

    off = pixels("off", guidance_scale=1.0)
    assert pixels("never", guidance_low=0.9, guidance_high=0.95) == off
    first = pixels("first", guidance_low=0.9)
    assert first != off
    assert pixels("both") not in (off, first)


def test_pixel_scale_keeps_one_pixel_a_cell(tmp_path: Path) -> None:
    images = make(tmp_path, cfg=config(pixel_scale=2, num_seeds=1))
    with Image.open(tmp_path / "images" / sorted(images)[0]) as image:
        assert image.size == (16, 16)


@pytest.mark.parametrize(
    ("content", "word"),
    [(None, "does not exist"), (b"# none\n\n", "no prompt"), (b"\xff\xfe", "text")],
)
def test_a_bad_prompts_file_is_named(tmp_path: Path, content: bytes | None, word: str) -> None:
    file = tmp_path.with_name("prompts.txt")
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError, match=word):
        build_work(config(prompts=[], prompts_file=file))


def test_prompts_files_skip_blanks_and_comments(tmp_path: Path) -> None:
    file = tmp_path.with_name("prompts.txt")
    file.write_text("# mine\norc\n\n  elf \n")
    work = build_work(config(prompts=[], prompts_file=file, num_seeds=1))
    assert [item.prompt for item in work] == ["orc", "elf"]
