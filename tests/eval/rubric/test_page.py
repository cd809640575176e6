import base64
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from eval.rubric.conf import MakeConfig, RubricMode
from eval.rubric.criteria import NAMES
from eval.rubric.key import key_path, read_key
from eval.rubric.page import build_page, make
from eval.rubric.sprites import Sprite
from pipeline.core.errors import InputError
from pipeline.generate.png import encode
from tests.fakes.raters import data_of, sprites

RUNS = ("base-run-7", "lora-of-mine")
PROVENANCE = {
    "prompt": "a mossy stone",
    "negative": "",
    "num_steps": 25,
    "sampler": "ddim",
    "guidance_scale": 3.0,
    "seed": 987654321,
    "width_px": 16,
    "height_px": 16,
    "model": {"sha256": "c0ffee" * 10, "family": "pixelnano"},
    "loras": [{"file": "secret-lora.safetensors", "sha256": "badcafe" * 9}],
}


def runs(folder: Path, *, count: int = 6, side_px: int = 16) -> list[Path]:
    """Two folders of PNG that carry what made them, as jobs.generate leaves them."""
    for run in RUNS:
        images = folder / run / "images"
        images.mkdir(parents=True)
        for sprite in sprites(count, seed=len(run), side_px=side_px):
            told = PROVENANCE | {"prompt": sprite.prompt, "run": str(folder / run)}
            (images / f"{sprite.name}.png").write_bytes(encode(sprite.rgba, told))
    return [folder / run for run in RUNS]


def pixels(told: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    kind, _, text = told["src"].partition(",")
    assert kind == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("RGBA"))


@pytest.mark.parametrize("mode", RubricMode)
def test_the_page_does_not_tell_the_runs_apart(tmp_path: Path, mode: RubricMode) -> None:
    made = make(MakeConfig(runs=runs(tmp_path), out=tmp_path / "out" / "page.html", mode=mode))
    page = made.page.read_bytes()
    decoded = page + b"".join(
        base64.b64decode(text) for text in re.findall(rb"base64,([\w+/=]+)", page)
    )
    for clue in (*RUNS, "secret-lora", "c0ffee", "badcafe", "987654321", str(tmp_path), "000003"):
        assert clue.encode() not in decoded, clue
    told = data_of(page.decode())
    ids = [item["id"] for item in told["items"]]
    assert ids == sorted(ids), "the order of files would tell"
    assert all(item["images"] == sorted(item["images"]) for item in told["items"])
    prompts = [item["prompt"] for item in told["items"]]
    assert prompts != sorted(prompts), "the order of prompts would tell"


def test_the_key_tells_what_is_what(tmp_path: Path) -> None:
    folders = runs(tmp_path)
    made = make(MakeConfig(runs=folders, out=tmp_path / "page.html"))
    key, told = read_key(made.key), data_of(made.page.read_text())
    assert (key.page, key.mode, key.runs) == (told["page"], RubricMode.absolute, RUNS)
    assert key.images.keys() == told["images"].keys() == {each["id"] for each in told["items"]}
    for image, shown in key.images.items():
        file = tmp_path / shown.run / "images" / f"{shown.name}.png"
        assert np.array_equal(pixels(told["images"][image]), np.asarray(Image.open(file)))


def test_pairs_are_of_one_prompt_and_all_runs(tmp_path: Path) -> None:
    sets = {run: sprites(5, seed=seed) for seed, run in enumerate("abc")}
    page = build_page(sets, mode=RubricMode.pairwise)
    assert len(page.key.pairs) == 5 * 3
    for pair in page.key.pairs.values():
        left, right = (page.key.images[image] for image in pair)
        assert left.name == right.name
        assert (left.run, right.run) in {("a", "b"), ("a", "c"), ("b", "c")}


def test_it_loads_nothing(tmp_path: Path) -> None:
    html = build_page({"a": sprites(3, seed=0)}, mode=RubricMode.absolute).html
    code = html.partition('id="data">')[0] + html.rpartition("</script>\n<script>")[2]
    assert "://" not in code
    assert not re.findall(r"\b(?:fetch|XMLHttpRequest|import|WebSocket|EventSource)\b\s*\(", code)
    assert "default-src 'none'" in code


def test_the_same_seed_makes_the_same_page() -> None:
    sets = {run: sprites(8, seed=seed) for seed, run in enumerate("ab")}
    pages = [build_page(sets, mode=RubricMode.absolute, seed=seed) for seed in (0, 0, 1)]
    assert pages[0] == pages[1]
    assert pages[0].key.images.keys().isdisjoint(pages[2].key.images)
    assert pages[0].key.page != pages[2].key.page


def test_equal_pictures_of_two_runs_are_two_items() -> None:
    same = sprites(4, seed=0)
    page = build_page({"a": same, "b": same}, mode=RubricMode.absolute)
    assert len(page.key.images) == 8


def test_names_are_drawn_alike_for_all_runs(tmp_path: Path) -> None:
    folders = runs(tmp_path, count=9)
    made = make(MakeConfig(runs=folders, num_images=4, out=tmp_path / "p.html", names=["x", "y"]))
    shown = read_key(made.key).images.values()
    names = {run: {each.name for each in shown if each.run == run} for run in ("x", "y")}
    assert names["x"] == names["y"]
    assert len(names["x"]) == 4


def test_at_most_half_comes_twice() -> None:
    page = build_page({"a": sprites(5, seed=0)}, mode=RubricMode.absolute, num_repeats=50)
    assert page.key.num_repeats == data_of(page.html)["num_repeats"] == 2


def test_all_five_criteria_have_five_anchors_for_both_sizes() -> None:
    for references in ((), sprites(2, seed=9)):
        told = data_of(
            build_page(
                {"a": sprites(2, seed=0)}, mode=RubricMode.absolute, references=references
            ).html
        )
        assert tuple(each["name"] for each in told["criteria"]) == NAMES
        assert len(told["references"]) == len(references)
        for each in told["criteria"]:
            assert {side: len(set(said)) for side, said in each["anchors"].items()} == {
                "16": 5,
                "32": 5,
            }


def test_text_cannot_leave_its_place() -> None:
    nasty = '</script><script>alert(1)</script>@@SCRIPT@@ "quoted" <!--'
    one = sprites(1, seed=0)[0]
    sprite = Sprite(name="1", prompt=nasty, rgba=one.rgba)
    html = build_page({"a": [sprite]}, mode=RubricMode.absolute).html
    assert "<script>alert" not in html
    assert data_of(html)["items"][0]["prompt"] == nasty


def test_prompts_can_be_kept_back() -> None:
    plain, other = sprites(4, seed=0), sprites(4, seed=1)
    told = [Sprite(name=s.name, prompt=f"trigger {s.prompt}", rgba=s.rgba) for s in other]
    with pytest.raises(InputError, match="000000.*show_prompts"):
        build_page({"a": plain, "b": told}, mode=RubricMode.pairwise)
    page = build_page({"a": plain, "b": told}, mode=RubricMode.pairwise, show_prompts=False)
    assert "trigger" not in page.html
    assert not any(sprite.prompt in page.html for sprite in plain)


def broken(tmp_path: Path, name: str) -> list[Path]:
    folders = runs(tmp_path)
    images = folders[1] / "images"
    match name:
        case "missing":
            (images / "000002.png").unlink()
        case "half":
            (images / "000002.png").write_bytes((images / "000002.png").read_bytes()[:99])
        case "tiny":
            Image.new("RGBA", (4, 4)).save(images / "000002.png")
        case "huge":
            Image.new("RGBA", (512, 512)).save(images / "000002.png")
        case "empty":
            for file in images.glob("*.png"):
                file.unlink()
    return folders


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("missing", "lora-of-mine.*000002"),
        ("half", "000002.png"),
        ("tiny", "000002.png.*4x4"),
        ("huge", "000002.png.*512x512"),
        ("empty", "lora-of-mine"),
    ],
)
def test_folders_that_cannot_be_rated_are_named(tmp_path: Path, name: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        make(MakeConfig(runs=broken(tmp_path, name), out=tmp_path / "page.html"))
    assert not (tmp_path / "page.html").exists()


def test_settings_that_cannot_be_are_refused(tmp_path: Path) -> None:
    one = {"a": sprites(3, seed=0)}
    with pytest.raises(InputError, match="runs"):
        build_page(one, mode=RubricMode.pairwise)
    with pytest.raises(InputError, match="runs"):
        build_page({}, mode=RubricMode.absolute)
    with pytest.raises(InputError, match="references"):
        build_page(one, mode=RubricMode.absolute, references=sprites(25, seed=1))
    with pytest.raises(InputError, match="num_images"):
        make(MakeConfig(runs=runs(tmp_path), num_images=7, out=tmp_path / "page.html"))
    for bad in ({"num_repeats": -1}, {"num_images": -1}, {"names": ["a"]}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            MakeConfig(**bad)  # type: ignore[arg-type]


def test_a_broken_key_names_its_field(tmp_path: Path) -> None:
    made = make(MakeConfig(runs=runs(tmp_path), out=tmp_path / "page.html"))
    assert made.key == key_path(made.page)
    whole = json.loads(made.key.read_text())
    image = next(iter(whole["images"]))
    for field, value, told in (
        ("schema", "other/1", "schema"),
        ("mode", "guess", "guess"),
        ("images", {image: {}}, "run"),
        ("runs", ["base-run-7"], "lora-of-mine"),
        ("pairs", {"feed": ["a", "b"]}, "pairs.feed"),
    ):
        made.key.write_text(json.dumps(whole | {field: value}))
        with pytest.raises(InputError, match=rf"page\.key\.json: .*{told}"):
            read_key(made.key)
    made.key.write_text(json.dumps(whole)[:100])
    with pytest.raises(InputError, match=r"page\.key\.json"):
        read_key(made.key)
