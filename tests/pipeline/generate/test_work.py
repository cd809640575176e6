import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import InputError
from pipeline.generate.conf import GenerateConfig, LoraVariant
from pipeline.generate.grammar import count, expand
from pipeline.generate.preview import describe_work
from pipeline.generate.prompts import Prompt
from pipeline.generate.work import WorkList, build_work
from pipeline.models.conf import FamilyName, ModelConfig

WORDS = st.text("abc ", min_size=1, max_size=4)


def config(**changes: object) -> GenerateConfig:
    told: dict[str, object] = {"prompts": ["orc"]}
    return GenerateConfig(model=ModelConfig(family=FamilyName.pixelnano), **(told | changes))  # type: ignore[arg-type]


@given(st.dictionaries(st.sampled_from("xyz"), st.lists(WORDS, min_size=1, max_size=4), min_size=1))
def test_a_template_is_the_product_of_its_groups(rules: dict[str, list[str]]) -> None:
    template = "a " + " ".join(f"{{{name}}}" for name in rules) + " b"
    found = list(expand(template, rules))
    assert found == [f"a {' '.join(c)} b" for c in itertools.product(*rules.values())]
    assert count(template, rules) == len(found)


def test_groups_may_hold_groups_and_braces_can_be_meant() -> None:
    rules = {"hue": ["red", "{shade} blue"], "shade": ["dark", "light"]}
    found = list(expand("{{{hue}}} cap", rules))
    assert found == ["{red} cap", "{dark blue} cap", "{light blue} cap"]
    assert count("{{{hue}}} cap", rules) == 3
    assert count("{hue} on {hue}", rules) == 9


@pytest.mark.parametrize(
    ("template", "rules", "word"),
    [
        ("{hue}", {}, "grammar.hue"),
        ("{hue}", {"hue": []}, "no choices"),
        ("{hue}", {"hue": ["{hue} red"]}, "hue > hue"),
        ("a { b", {}, "{{"),
        ("a } b", {}, "}}"),
    ],
)
def test_a_broken_grammar_is_named(template: str, rules: dict[str, list[str]], word: str) -> None:
    with pytest.raises(InputError, match=word):
        list(expand(template, rules))
    with pytest.raises(InputError, match=word):
        count(template, rules)


PROMPTS = st.lists(
    st.builds(
        Prompt, WORDS, WORDS, st.integers(1, 4), st.one_of(st.none(), st.integers(0, 2**63 - 1))
    ),
    min_size=1,
    max_size=6,
)


@given(PROMPTS, st.integers(1, 3), st.integers(1, 3), st.integers(1, 5))
def test_the_work_is_every_combination_once_and_batches_hold_it_all(
    prompts: list[Prompt], num_variants: int, num_sizes: int, batch_size: int
) -> None:
    variants = [f"v{i}" for i in range(num_variants)]
    sizes = [32 * (i + 1) for i in range(num_sizes)]
    work = WorkList(prompts, variants=variants, sizes_px=sizes, seed=7)
    items = list(work)
    assert len(items) == len(work)
    assert [item.index for item in items] == list(range(len(work)))
    got = [(i.variant, i.size_px, i.prompt, i.negative, i.seed, i.seed_number) for i in items]
    wanted = [
        (v, size, p.text, p.negative, 7 if p.seed is None else p.seed, s)
        for v in range(num_variants)
        for size in sizes
        for p in prompts
        for s in range(p.num_seeds)
    ]
    assert got == wanted
    # Variants are drawn from the same noise.
    block = work.block_size
    noises = [(i.seed, i.noise_index) for i in items]
    assert all(noises[i] == noises[i % block] for i in range(len(work)))
    batches = work.cut(range(len(work)), batch_size=batch_size)
    assert [i for b in batches for i in b.indices] == list(range(len(work)))
    assert len({b.name for b in batches}) == len(batches)
    for batch in batches:
        assert len({(work[i].variant, work[i].size_px) for i in batch.indices}) == 1
        assert len(batch.indices) <= batch_size


def test_prompts_without_seeds_of_their_own_never_share_noise() -> None:
    work = build_work(config(prompts=["a", "b", "c"], num_seeds=4))
    assert len({item.noise_index for item in work}) == 12


def test_tables_of_prompts(tmp_path: Path) -> None:
    rows = [
        {"prompt": "orc", "negative": "blurry", "seed": 3, "num_seeds": 2},
        {"prompt": "{hue} elf"},
    ]
    (tmp_path / "p.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    (tmp_path / "p.csv").write_text(
        'prompt,negative,seed,num_seeds\norc,blurry,3,2\n"{hue} elf",,,\n'
    )
    for name in ("p.jsonl", "p.csv"):
        cfg = config(
            prompts=[], prompts_file=tmp_path / name, grammar={"hue": ["red", "blue"]}, negative="n"
        )
        work = build_work(cfg)
        told = [(i.prompt, i.negative, i.seed, i.seed_number) for i in work]
        assert told == [
            ("orc", "blurry", 3, 0), ("orc", "blurry", 3, 1), ("red elf", "n", 0, 0),
            ("blue elf", "n", 0, 0),
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("p.csv", "promt\norc\n", [":2", "promt", "prompt"]),
        ("p.csv", "prompt,seed\norc,many\n", [":2", "seed", "many"]),
        ("p.csv", "prompt,seed\norc\n", [":2"]),
        ("p.csv", 'prompt\n"orc\n', ["p.csv"]),
        ("p.jsonl", '{"prompt": "a"}\n{"prompt": 5}\n', [":2", "prompt", "5"]),
        ("p.jsonl", '{"prompt": "a", "num_seeds": 0}\n', [":1", "num_seeds"]),
        ("p.jsonl", '{"prompt": "a", "seed": -1}\n', [":1", "seed"]),
        ("p.jsonl", '{"prompt": "a", "seed": true}\n', [":1", "seed"]),
        ("p.jsonl", "[1]\n", [":1", "object"]),
        ("p.jsonl", '{"prompt": "\\ud800"}\n', [":1", "character"]),
        ("p.jsonl", "{\n", [":1", "JSON"]),
        ("p.jsonl", '{"seed": 1}\n', [":1", "prompt"]),
        ("p.yaml", "a", [".csv", ".jsonl"]),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, name: str, text: str, words: list[str]) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError) as refused:
        build_work(config(prompts=[], prompts_file=tmp_path / name))
    assert all(word in str(refused.value) for word in words), refused.value


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"sizes_px": [33]}, "sizes_px"),
        ({"pixel_scale": 3}, "model.size_px"),
        ({"native_size_px": 32}, "native_size_px"),
        ({"variants": [LoraVariant(name="a"), LoraVariant(name="a")]}, "variants"),
        ({"prompts": []}, "prompts"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes: dict[str, object], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        config(**changes)


def test_a_preview_counts_and_estimates_from_what_was_measured(tmp_path: Path) -> None:
    cfg = config(prompts=["{a} x"], grammar={"a": ["1", "2", "3"]}, num_seeds=5, batch_size=4)
    shown = describe_work(cfg, runs_dir=tmp_path, num_ranks=2)
    assert "15" in shown
    assert "4 of up to 4" in shown
    assert "not known" in shown
    run = tmp_path / "generate" / "n" / "before"
    run.mkdir(parents=True)
    figures = {"rate_img_per_s": 1.0, "num_processes": 4}
    (run / "run.json").write_text(json.dumps({"status": "finished", "figures": figures}))
    (run / "config.yaml").write_text(
        "model: {family: pixelnano, size_px: 32}\nbatch_size: 4\nprecision: fp32\n"
        "sampler: {name: ddim, num_steps: 25, guidance_scale: 3.0}\n"
    )
    # 15 images at 0.25 img/s a rank on 2 ranks.
    assert "0 h 0 min 30 s" in describe_work(cfg, runs_dir=tmp_path, num_ranks=2)
    cfg.sampler.num_steps = 26
    assert "not known" in describe_work(cfg, runs_dir=tmp_path, num_ranks=2)
