"""Links lead somewhere and commands name what exists, in every Markdown file.

Hydra keys of launched jobs are composed by ``tests/jobs/test_config.py``.
"""

from pathlib import Path

import pytest

from tests.docs.documents import Project, all_documents, anchors, commands

ROOT = Path(__file__).parents[2]
HERE = Project(ROOT)
PAGES = all_documents(ROOT)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_resolve(page: Path) -> None:
    assert HERE.broken_links(page) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_name_what_exists(page: Path) -> None:
    assert HERE.faults(page) == []


@pytest.fixture
def small(tmp_path: Path) -> Project:
    (tmp_path / "Makefile").write_text("CC := x\ntest: setup  ## run\n")
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "show.py").write_text('add("--rows")\nadd("--pot")\n')
    (tmp_path / "repro").mkdir()
    (tmp_path / "repro" / "run.sh").touch()
    (tmp_path / "other.md").write_text("# A *fine* `page.py`\n## Twice\n## Twice\n")
    return Project(tmp_path)


@pytest.mark.parametrize(
    ("target", "leads"),
    [
        ("other.md", True),
        ("gone.md", False),
        ("other.md#a-fine-pagepy", True),
        ("other.md#twice-1", True),
        ("other.md#twice-2", False),
        ("#here-it-is", True),
        ("#elsewhere", False),
        ("https://example.org/gone.md#x", True),
    ],
)
def test_a_link_leads_or_is_told(small: Project, target: str, leads: bool) -> None:
    page = small.root / "page.md"
    page.write_text(f"# Here, it is\n[link]({target})\n```\n[in a listing](gone.md)\n```\n")
    assert small.broken_links(page) == ([] if leads else [target])


@pytest.mark.parametrize(
    "command",
    [
        "make test",
        "SCALE=1 make test RUNS=x",
        "python -m jobs.show RUN --rows 3",
        "python -m jobs.show RUN --no-pot -- other --no-such-option",
        "repro/run.sh cluster.gpus_per_node=1",
        "sbatch --gpus=1 repro/run.sh",
        "runs/<job>/<name>/",
    ],
)
def test_a_command_that_can_be_run(small: Project, command: str) -> None:
    page = small.root / "page.md"
    page.write_text(f"```bash\n{command}   # what it does\n```\nInline: `{command}`.\n")
    assert small.faults(page) == []


@pytest.mark.parametrize(
    "command",
    [
        "make tset",
        "make test && make gone",
        "python -m jobs.shwo RUN",
        "python -m jobs.show RUN --row 3",
        "repro/walk.sh",
        "repro/run.sh cluster.gpus=1",
        "sbatch --gpus=1 repro/walk.sh",
    ],
)
def test_a_command_that_cannot(small: Project, command: str) -> None:
    page = small.root / "page.md"
    page.write_text(f"```\n{command}\n```\n")
    assert len(small.faults(page)) == 1
    page.write_text(f"Do\n`{command}`.\n")
    assert len(small.faults(page)) == 1


def test_what_is_read_of_a_page() -> None:
    text = "```\npython -m jobs.a x \\\n  --y 1  # z\nfound: 3\n```\n```python\nmake it\n```\n"
    assert commands(text) == [["python", "-m", "jobs.a", "x", "--y", "1"]]
    assert anchors("# Figures, here\n```\n# comment\n```\n") == {"figures-here"}
