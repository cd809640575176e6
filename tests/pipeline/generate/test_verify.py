import json
import shutil
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pipeline.core.errors import InputError
from pipeline.core.metrics import NullTracker
from pipeline.core.rundir import RunDir
from pipeline.core.world import World
from pipeline.generate.conf import GateConfig, GenerateConfig, SamplerConfig
from pipeline.generate.loop import generate
from pipeline.generate.png import encode, provenance_of
from pipeline.generate.reproduce import Reproducer
from pipeline.generate.verify import check_image, check_run, images_of
from pipeline.models.conf import FamilyName, ModelConfig
from pipeline.pixels.conf import FinishConfig, PaletteConfig, PaletteName

BLANK = ModelConfig(family=FamilyName.pixelnano)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "run"
    # Two rows of one seed and prompt: the second is a near-duplicate, and drawn again.
    rows = [{"prompt": "orc"}, {"prompt": "ruby potion — größer"}] + [
        {"prompt": "elf", "seed": 5}
    ] * 2
    table = path.with_name("prompts.jsonl")
    table.write_text("\n".join(map(json.dumps, rows)))
    cfg = GenerateConfig(
        model=BLANK, prompts_file=table, num_seeds=3, batch_size=5, negative="blurry",
        sampler=SamplerConfig(num_steps=2), gates=GateConfig(max_redraws=1, near_duplicate_bits=0),
    )  # fmt: skip
    generate(
        cfg, world=World(), run_dir=RunDir(path), tracker=NullTracker(), should_stop=lambda: False
    )
    return path


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "run")
    return tmp_path / "run"


def faults(run: Path) -> dict[str, str]:
    return {fault.path.name: fault.what for fault in check_run(RunDir(run))}


def test_an_untouched_run_has_no_faults(run: Path) -> None:
    assert faults(run) == {}
    (run / "manifest.parquet").unlink()
    assert faults(run) == {}, "nor has one that goes on"


def test_whatever_is_touched_is_named(run: Path) -> None:
    images = run / "images"
    data = bytearray((images / "000000003.png").read_bytes())
    data[-20] ^= 1
    (images / "000000003.png").write_bytes(data)
    (images / "000000005.png").unlink()
    shutil.copy(images / "000000001.png", images / "000000002.png")
    (images / "mine.png").write_bytes(b"x")
    found = faults(run)
    assert set(found) == {f"00000000{i}.png" for i in (2, 3, 5)} | {"mine.png"}
    assert "missing" in found["000000005.png"]
    assert "foreign" in found["mine.png"]


def test_an_image_without_a_record_is_named(run: Path) -> None:
    (run / "manifest.parquet").unlink()
    for manifest in run.glob("manifest-*.jsonl"):
        lines = manifest.read_bytes().splitlines(keepends=True)
        manifest.write_bytes(b"".join(line for line in lines if b'"index": 4,' not in line))
    assert "image 4 of 12 has no record" in faults(run)["images"]


def test_a_file_alone_knows_whether_its_pixels_were_changed(run: Path) -> None:
    path = run / "images" / "000000000.png"
    with Image.open(path) as image:
        told = provenance_of(image)
        image.putpixel((3, 3), (1, 2, 3, 255))
        import numpy as np

        changed = encode(np.asarray(image), told)
    assert [f.path for f in check_image(path, changed)] == [path]
    assert list(check_image(path, path.read_bytes())) == []
    assert len(list(check_image(path, path.read_bytes()[:-30]))) == 1


def test_every_image_can_be_made_again_from_itself(run: Path) -> None:
    """Redraws, last batches of another size and negatives among them."""
    reproducer = Reproducer(models=[BLANK], loras=[], device="cpu")
    attempts = set()
    for path in images_of(run):
        data = path.read_bytes()
        assert reproducer.again(data, path=path) == data
        with Image.open(path) as image:
            attempts.add(provenance_of(image)["attempt"])
            assert image.info["parameters"].startswith(provenance_of(image)["prompt"])
            assert "Negative prompt: blurry" in image.info["parameters"]
    assert attempts == {0, 1}


def test_a_palette_locked_over_a_batch_is_told_by_each_image(tmp_path: Path) -> None:
    palette = PaletteConfig(name=PaletteName.kmeans, num_colours=5, lock=True)
    cfg = GenerateConfig(
        model=BLANK, prompts=["orc", "elf"], num_seeds=2, batch_size=4,
        sampler=SamplerConfig(num_steps=1), finish=FinishConfig(palette=palette),
    )  # fmt: skip
    generate(
        cfg, world=World(), run_dir=RunDir(tmp_path), tracker=NullTracker(),
        should_stop=lambda: False,
    )  # fmt: skip
    colours = set()
    for path in images_of(tmp_path):
        data = path.read_bytes()
        assert Reproducer(models=[BLANK], loras=[], device="cpu").again(data, path=path) == data
        with Image.open(path) as image:
            colours |= {c for _, c in image.getcolors() if c[3]}  # type: ignore[index, union-attr]
    assert 1 < len(colours) <= 5


def test_what_it_was_made_with_must_be_there(run: Path) -> None:
    shipped = Path("pipeline/models/assets/pixelnano")
    other = ModelConfig(family=FamilyName.pixelnano, path=shipped)
    path = images_of(run)[0]
    with pytest.raises(InputError, match="--model"):
        Reproducer(models=[other], loras=[], device="cpu").again(path.read_bytes(), path=path)
    foreign = run / "foreign.png"
    Image.new("RGBA", (4, 4)).save(foreign)
    with pytest.raises(InputError, match=r"foreign\.png"):
        Reproducer(models=[BLANK], loras=[], device="cpu").again(foreign.read_bytes(), path=foreign)


@pytest.mark.parametrize(
    "text",
    ["[1]", "5", "{", '{"format": "dgx-pixels-image/2"}', "HUGE", "ROW"],
)
def test_metadata_of_others_is_one_line(run: Path, text: str) -> None:
    path = images_of(run)[0]
    with Image.open(path) as image:
        told = provenance_of(image)
        pixels = image.copy()
    if text in ("HUGE", "ROW"):
        change = {"batch_rows": 10**9} if text == "HUGE" else {"batch_row": 7, "batch_rows": 7}
        text = json.dumps(told | change)
    info = PngInfo()
    info.add_itxt("dgx-pixels", text)
    pixels.save(path, pnginfo=info)
    list(check_image(path, path.read_bytes()))
    with pytest.raises(InputError, match=path.name):
        Reproducer(models=[BLANK], loras=[], device="cpu").again(path.read_bytes(), path=path)


def test_the_right_base_is_found_among_wrong_ones(run: Path, tmp_path: Path) -> None:
    wrong = [
        ModelConfig(family=FamilyName.pixelnano, path=tmp_path / "gone"),
        ModelConfig(family=FamilyName.pixelnano, path=Path("pipeline/models/assets/pixelnano")),
    ]
    path = images_of(run)[0]
    again = Reproducer(models=[*wrong, BLANK], loras=[], device="cpu").again
    assert again(path.read_bytes(), path=path) == path.read_bytes()
