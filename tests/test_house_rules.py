import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("jobs", "pipeline", "train", "eval", "bench", "repro")
FILES = sorted(p for room in ROOMS for p in (ROOT / room).rglob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_can_be_read_in_one_sitting(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= 300
    assert file.name != "utils.py"


@pytest.mark.parametrize(
    "file", [f for f in FILES if f.name == "conf.py"], ids=lambda p: str(p.relative_to(ROOT))
)
def test_every_setting_is_documented(file: Path) -> None:
    for node in ast.parse(file.read_text()).body:
        if not isinstance(node, ast.ClassDef) or not any(
            "dataclass" in ast.unparse(d) for d in node.decorator_list
        ):
            continue
        for field, after in zip(node.body, [*node.body[1:], None], strict=True):
            if isinstance(field, ast.AnnAssign) and not ast.unparse(field.annotation).endswith(
                ("Config", "SourceConfig")
            ):
                assert isinstance(after, ast.Expr), f"{node.name}.{ast.unparse(field.target)}"


def test_seeds_and_worlds_work_without_torch() -> None:
    code = (
        "import sys, pipeline.core.seeds, pipeline.core.world, jobs.conf;"
        "sys.exit(any(m in sys.modules for m in ('torch', 'hydra', 'wandb', 'submitit')))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
