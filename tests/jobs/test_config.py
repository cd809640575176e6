import re
import shlex
from pathlib import Path

import pytest

from jobs import bench, evaluate, generate, prepare, smoke, train
from jobs.conf import TrainJob
from jobs.runtime.config import (
    CONFIGS,
    choices,
    compose_config,
    expand_sweep,
    freeze,
    thaw,
)
from jobs.runtime.helptext import field_docs, help_text
from jobs.runtime.reference import reference
from jobs.runtime.schema import known_keys
from pipeline.core.errors import InputError

SCHEMAS = {
    "train": train.SCHEMA,
    "prepare": prepare.SCHEMA,
    "generate": generate.SCHEMA,
    "smoke": smoke.SCHEMA,
    "bench": bench.SCHEMA,
    "evaluate": evaluate.SCHEMA,
}
NAMED = [
    *[("train", f"+experiment={name}") for name in choices("experiment")],
    *[("prepare", f"+dataset={name}") for name in choices("dataset")],
    *[("generate", f"+work={name}") for name in choices("work")],
    *[("train", f"cluster={name}") for name in choices("cluster") if name != "queue"],
    *[("train", f"model={name}") for name in choices("model")],
    *[("train", f"sampler={name}") for name in choices("sampler")],
    *[("train", f"lora={name}") for name in choices("lora")],
    *[("train", f"optim={name}") for name in choices("optim")],
    *[("train", f"tracker={name}") for name in choices("tracker")],
    *[("train", f"data={name}") for name in choices("data")],
    *[("bench", f"bench={name}") for name in choices("bench")],
]


@pytest.mark.parametrize(("job", "override"), NAMED)
def test_every_named_choice_composes_and_survives_freezing(job: str, override: str) -> None:
    config = compose_config(job, SCHEMAS[job], [override])
    text = freeze(config, base=Path("/somewhere"))
    again = thaw(SCHEMAS[job], text)
    assert freeze(again, base=Path("/elsewhere")) == text, "a frozen path is absolute"


@pytest.mark.parametrize(
    "file", sorted((CONFIGS / "experiment").glob("*.yaml")), ids=lambda p: p.stem
)
def test_experiments_say_what_they_cost(file: Path) -> None:
    head = file.read_text().split("\n\n")[0]
    for word in ("# @package _global_", "# What:", "# Command:", "# Cost:", "Expect:"):
        assert word in head


@pytest.mark.parametrize(
    ("job", "overrides", "words"),
    [
        ("train", ["lora.rnk=3"], ["lora.rnk", "lora.rank"]),
        ("train", ["num_imges=3"], ["num_imges", "num_images"]),
        ("train", ["+foo=3"], ["foo", "unknown"]),
        ("train", ["+lora.foo=3"], ["lora.foo", "unknown"]),
        ("train", ["lora.rank=abc"], ["lora.rank", "abc"]),
        ("train", ["precision=fp64"], ["precision", "fp64", "bf16"]),
        ("train", ["model=foo"], ["model/foo", "sdxl"]),
        ("train", ["+experiment=tilez"], ["experiment/tilez", "tiles32"]),
        ("train", ["batch_size=0"], ["batch_size", "0"]),
        ("train", ["lora.dropout=2"], ["lora.dropout"]),
        ("train", ["model=sdxl", "model.revision=main"], ["model.revision", "main"]),
        ("train", ["foo=["], ["foo=["]),
        ("train", [""], ["''"]),
        ("train", ["experiment=tiles32"], ["+experiment"]),
        ("train", ["+cluster=local"], ["cluster", "twice"]),
        ("train", ["hydra.run.dir=x"], ["hydra.run.dir"]),
        ("train", ["optim.lr=nan"], ["optim.lr", "nan"]),
        ("train", ["lora.alpha=inf"], ["lora.alpha", "inf"]),
        ("train", ["sample_prompts=grass"], ["sample_prompts", "list"]),
        ("train", ["lora.rank=null"], ["lora.rank", "null"]),
        ("train", ["name=../x"], ["name", "../x"]),
        ("train", ["run_id=a/b"], ["run_id", "a/b"]),
        ("train", ["cluster.timeout_min=1"], ["cluster.signal_delay_s", "120", "1 min"]),
        ("train", ["optim.max_grad_norm=-1"], ["optim.max_grad_norm", "-1"]),
        ("train", ["optim.beta1=2"], ["optim.beta1", "2"]),
        ("train", ["model=sdxl", "model.sha256={a: '0'}"], ["model.sha256", "model.path"]),
        ("train", ["cluster.env.WANDB_API_KEY=x"], ["cluster.env.WANDB_API_KEY", "secret"]),
        ("bench", [], ["bench", "throughput"]),
        ("evaluate", [], ["run"]),
        ("evaluate", ["run=a", "gates.ssim=1"], ["gates.ssim", "ssim_min"]),
        ("evaluate", ["rubric=make"], ["make.runs"]),
        ("bench", ["bench=loader", "batch_sizes=[4,1]"], ["batch_sizes", "[4, 1]"]),
        ("generate", ["prompts=[a]", "sampler.guidance_low=2"], ["sampler.guidance_low", "2"]),
        ("generate", ["prompts=[a]", "model.size_px=33"], ["model.size_px", "33", "8"]),
        ("prepare", ["source.path=art"], ["out", "required"]),
        ("generate", [], ["prompts"]),
        ("generate", ["prompts=[a]", "sampler.guidance_scale=0"], ["sampler.guidance_scale"]),
    ],
)
def test_a_mistake_is_one_line_that_names_it(
    job: str, overrides: list[str], words: list[str]
) -> None:
    with pytest.raises(InputError) as refused:
        compose_config(job, SCHEMAS[job], overrides)
    message = str(refused.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


def test_bad_yaml_names_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    copy = tmp_path / "configs"
    shutil.copytree(CONFIGS, copy)
    (copy / "experiment" / "tiles32.yaml").write_text("# @package _global_\nlora: {rank: 4\n")
    monkeypatch.setattr("jobs.runtime.config.CONFIGS", copy)
    with pytest.raises(InputError, match=r"bad YAML.*line") as refused:
        compose_config("train", TrainJob, ["+experiment=tiles32"])
    assert "\n" not in str(refused.value)


def test_free_tables_take_any_key() -> None:
    overrides = ["cluster.env={NCCL_DEBUG: INFO}", "cluster.env.A=b", "model.sha256={a/b.c: '01'}"]
    overrides += ["model=pixelnano_blank", "model.path=x"]
    config = compose_config("train", TrainJob, ["+experiment=smoke", *overrides])
    assert config.cluster.env == {"NCCL_DEBUG": "INFO", "A": "b"}
    assert config.model.sha256 == {"a/b.c": "01"}


def test_the_reference_is_up_to_date() -> None:
    page = (CONFIGS.parent / "docs" / "configs.md").read_text()
    assert page == reference(), "python -m jobs.runtime.reference > docs/configs.md"
    rows = [line for line in page.splitlines() if line.startswith("| ") and line.endswith("|  |")]
    assert rows == [], "every choice and key says what it is"


def documented_commands() -> list[str]:
    """Commands of launched jobs in the documents and at the head of the compositions."""
    root = CONFIGS.parent
    pages = [*root.glob("*.md"), *root.glob("docs/*.md"), *CONFIGS.glob("*/*.yaml")]
    text = "\n".join(page.read_text() for page in sorted(pages)).replace("\\\n", " ")
    launched = r"jobs\.(?:train|prepare|generate|smoke|evaluate|bench(?! show| compare))"
    found = re.findall(rf"python -m ({launched} [^#`&\n]+)", text)
    return sorted({command.strip() for command in found if "--" not in command})


@pytest.mark.parametrize("command", documented_commands())
def test_a_documented_command_composes(command: str) -> None:
    module, *overrides = shlex.split(command)
    job = module.removeprefix("jobs.")
    sweeps = "-m" in overrides
    overrides = [o for o in overrides if o != "-m"]
    for point in expand_sweep(overrides) if sweeps else [overrides]:
        compose_config(job, SCHEMAS[job], point)


def test_a_sweep_is_a_product() -> None:
    points = expand_sweep(["+experiment=smoke", "lora.rank=4,16", "seed=range(0,3)"])
    assert len(points) == 6
    assert points[0] == ["+experiment=smoke", "lora.rank=4", "seed=0"]
    assert expand_sweep(["prompts=[a,b]"]) == [["prompts=[a,b]"]]


def test_every_key_is_documented_and_shown() -> None:
    for job, schema in SCHEMAS.items():
        text = help_text(job, schema)
        for key in known_keys(schema):
            assert key.rpartition(".")[2] in text
    assert field_docs(TrainJob)["batch_size"].startswith("Images an optimiser step")
