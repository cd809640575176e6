import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eval.conf import EvaluateConfig, gate_of
from eval.evaluate import evaluate, human_mean
from eval.gates import judge_gates
from eval.page import report_page
from pipeline.core.errors import InputError


def write(folder, *, noise=0, count=12, seed=0):
    """Sprites of four colours; noise adds colours and stray pixels to the same sprites."""
    folder.mkdir()
    rng = np.random.Generator(np.random.Philox(seed))
    for number in range(count):
        pixels = np.zeros((16, 16, 4), np.uint8)
        pixels[3:13, 3:13] = [*rng.choice([40, 120, 200], 3), 255]
        pixels[5:8, 5:8, :3] = rng.choice([40, 120, 200], 3)
        if noise:
            shift = rng.integers(-noise, noise + 1, (16, 16, 3))
            shown = pixels[..., :3].astype(int) + shift
            pixels[..., :3] = np.clip(shown, 0, 255) * (pixels[..., 3:] > 0)
        Image.fromarray(pixels).save(folder / f"{number:09d}.png")
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("sets")
    return {
        "clean": write(root / "clean"),
        "noisy": write(root / "noisy", noise=30),
        "other": write(root / "other", count=3),
    }


def by_name(report):
    return {judged.info.name: judged for judged in report.metrics}


def test_the_noisy_set_is_told_worse_than_the_clean_one(folders):
    cfg = EvaluateConfig(run=folders["noisy"], base=folders["clean"])
    report = evaluate(cfg, device="cpu")
    told = by_name(report)
    assert told["num_colours"].by["base"].value < told["num_colours"].by["run"].value
    assert told["orphan_share"].verdict.startswith("worse")
    assert 0 < told["ssim"].by["run"].value < 1
    assert told["ssim"].against == "base"


def test_a_set_does_not_differ_from_itself(folders):
    report = evaluate(EvaluateConfig(run=folders["clean"], base=folders["clean"]), device="cpu")
    told = by_name(report)
    assert told["ssim"].by["run"].value == pytest.approx(1)
    assert told["psnr_db"].by["run"].value is None, "infinite is not a number in JSON"
    assert told["num_colours"].verdict == "not distinguishable"


def test_against_a_reference_both_sets_are_held(folders):
    cfg = EvaluateConfig(run=folders["noisy"], base=folders["clean"], reference=folders["clean"])
    told = by_name(evaluate(cfg, device="cpu"))
    assert told["ssim"].by["base"].value > told["ssim"].by["run"].value
    assert told["ssim"].verdict.startswith("worse")


def test_best_and_worst_likeness_is_shown_of_a_reference_and_not_of_the_base(folders):
    against_base = EvaluateConfig(run=folders["noisy"], base=folders["clean"], num_cases=2)
    cases = evaluate(against_base, device="cpu").cases
    assert {case.metric for case in cases} == {"orphan_share"}
    cfg = EvaluateConfig(run=folders["noisy"], reference=folders["clean"], num_cases=2)
    shown = [case for case in evaluate(cfg, device="cpu").cases if case.metric == "ssim"]
    assert [case.is_best for case in shown] == [False, False, True, True]
    worst, best = shown[:2], shown[2:]
    assert max(c.values["run"] for c in worst) < min(c.values["run"] for c in best)


def test_what_cannot_be_had_is_named_and_its_gate_fails(folders):
    cfg = EvaluateConfig(run=folders["clean"], gates={"clip_text_distance_max": 0.5})
    report = evaluate(cfg, device="cpu")
    missing = {name: each.why for each in report.missing for name in each.names}
    assert "clip_text_distance" in missing
    assert not report.passes
    assert report.gates[0].why == missing["clip_text_distance"]


def test_sets_of_other_things_are_refused(folders):
    with pytest.raises(InputError, match="other"):
        evaluate(EvaluateConfig(run=folders["clean"], base=folders["other"]), device="cpu")
    with pytest.raises(InputError, match="neither a run"):
        evaluate(EvaluateConfig(run=Path(__file__).parent), device="cpu")


def test_a_picture_that_cannot_be_read_is_named(tmp_path):
    broken = write(tmp_path / "broken", count=2)
    (broken / "000000001.png").write_bytes(b"\x89PNG no")
    with pytest.raises(InputError, match=r"000000001\.png"):
        evaluate(EvaluateConfig(run=broken), device="cpu")


def test_the_record_is_json_and_the_page_stands_alone(folders):
    cfg = EvaluateConfig(run=folders["noisy"], base=folders["clean"], num_cases=2)
    report = evaluate(cfg, device="cpu")
    told = json.loads(json.dumps(report.as_json(), allow_nan=False))
    assert told["format"] == "dgx-pixels-evaluation/1"
    page = report_page(
        report, title="<b>A</b>", pictures={"base": folders["clean"], "run": folders["noisy"]}
    )
    assert "<b>A</b>" not in page, "what users name is not markup"
    assert "http" not in page.replace("http-equiv", "")
    assert page.count("data:image/png;base64,") >= 5


@pytest.mark.parametrize(
    ("name", "metric", "is_least"),
    [
        ("ssim_min", "ssim", True),
        ("psnr_min_db", "psnr_db", True),
        ("lpips_max", "lpips", False),
        ("clip_distance_max", "clip_distance", False),
        ("palette_distance_max_oklab", "palette_distance_oklab", False),
    ],
)
def test_a_gate_says_what_it_bounds(name, metric, is_least):
    gate = gate_of(name, 0.5)
    assert (gate.metric, gate.is_least, gate.bound) == (metric, is_least, 0.5)


def test_a_gate_that_bounds_nothing_is_refused():
    with pytest.raises(ValueError, match="ssim_min"):
        EvaluateConfig(gates={"ssim": 0.5})


def test_a_bound_itself_passes_and_nan_does_not():
    gates = [gate_of("ssim_min", 0.5), gate_of("mse_max", 3.0), gate_of("kid_max", 1.0)]
    told = judge_gates(gates, {"ssim": 0.5, "mse": 3.1, "kid": float("nan")}, {})
    assert [each.passes for each in told] == [True, False, False]


def test_peoples_grades_are_found_by_the_runs_name():
    means = [
        {"run": "lora", "criterion": "clarity", "grade": {"value": 1.0}},
        {"run": "base", "criterion": "human_mean", "grade": {"value": 2.0}},
        {"run": "lora", "criterion": "human_mean", "grade": {"value": 4.5}},
    ]
    assert human_mean({"means": means}, {"run", "lora"}) == 4.5
    assert np.isnan(human_mean({"means": means}, {"other"}))
