"""What the tree must never hold: code named by data, pickles, packages without a hash."""

import ast
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from pipeline.models.sums import PICKLES

ROOT = Path(__file__).parents[1]
ROOMS = ("jobs", "pipeline", "train", "eval", "bench", "repro", "deploy")
FILES = sorted(p for room in ROOMS for p in (ROOT / room).rglob("*.py"))
CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))
LOCKS = sorted(ROOT.glob("requirements*.lock"))
UNPICKLERS = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
LINE = re.compile(r"[A-Za-z0-9._-]+==\S+( --hash=sha256:[0-9a-f]{64})+")


def keys(value: object) -> list[str]:
    """Return every key of nested mappings and lists."""
    if isinstance(value, dict):
        return [*map(str, value), *(k for v in value.values() for k in keys(v))]
    return [k for v in value for k in keys(v)] if isinstance(value, list) else []


def unsafe(source: str) -> list[str]:
    """Return what in Python source may run code that data names."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name.split(".")[0] in UNPICKLERS]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in UNPICKLERS:
            found.append(str(node.module))
        elif isinstance(node, ast.Call):
            found += _unsafe_call(node)
    return found


def _unsafe_call(node: ast.Call) -> list[str]:
    name = ast.unparse(node.func)
    told = {k.arg: ast.unparse(k.value) for k in node.keywords}
    if name.endswith("torch.load") and told.get("weights_only") != "True":
        return [name]
    if told.get("allow_pickle") == "True" or told.get("trust_remote_code") == "True":
        return [name]
    if name in ("yaml.load", "yaml.unsafe_load", "yaml.full_load", "eval", "exec"):
        return [name]
    return [name] if name.endswith(("utils.instantiate", "get_class", "call")) and (
        name.startswith("hydra")
    ) else []  # fmt: skip


@pytest.mark.parametrize("file", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_code_is_run_that_data_names(file: Path) -> None:
    assert unsafe(file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle", "from joblib import load", "torch.load(p)", "yaml.load(t)", "eval(x)",
        "torch.load(p, weights_only=False)", "np.load(p, allow_pickle=True)",
        "hydra.utils.instantiate(cfg)", "AutoModel.from_pretrained(p, trust_remote_code=True)",
    ],
)  # fmt: skip
def test_the_look_finds_each_of_them(source: str) -> None:
    assert unsafe(source)


def test_safe_calls_pass() -> None:
    for source in ("torch.load(p, weights_only=True)", "yaml.safe_load(t)", "model.eval()"):
        assert unsafe(source) == []


@pytest.mark.parametrize("file", CONFIGS, ids=lambda p: str(p.relative_to(ROOT)))
def test_configs_name_no_code(file: Path) -> None:
    told = keys(yaml.safe_load(file.read_text(encoding="utf-8")))
    assert not {"_target_", "_partial_", "_recursive_"} & set(told)


def test_no_pickle_is_in_the_tree() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    names = [Path(name) for name in listed.stdout.decode().split("\0") if name]
    assert names
    assert [name for name in names if name.suffix in PICKLES] == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda p: p.name)
def test_every_locked_package_has_its_hash(lock: Path) -> None:
    lines = [x for x in lock.read_text().splitlines() if x and not x.startswith("#")]
    assert lines
    assert [x for x in lines if not LINE.fullmatch(x)] == []
