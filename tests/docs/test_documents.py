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


GOOD = [
    "make test",
    "SCALE=1 make test RUNS=x",
    "python -m jobs.show RUN --rows 3",
    "python -m jobs.show RUN --no-pot -- other --no-such-option",
    "repro/run.sh cluster.gpus_per_node=1",
    "sbatch --gpus=1 repro/run.sh",
    "runs/<job>/<name>/",
]
BAD = [
    "make tset",
    "make test && make gone",
    "python -m jobs.shwo RUN",
    "python -m jobs.show RUN --row 3",
    "repro/walk.sh",
    "repro/run.sh cluster.gpus=1",
    "sbatch --gpus=1 repro/walk.sh",
]


@pytest.mark.parametrize("command", [*GOOD, *BAD])
@pytest.mark.parametrize("around", ["```bash\n{}   # why\n```\n", "Do\n`{}`.\n"])
def test_a_command_can_be_run_or_is_told(small: Project, command: str, around: str) -> None:
    page = small.root / "page.md"
    page.write_text(around.format(command))
    assert len(small.faults(page)) == (command in BAD)


def test_what_is_read_of_a_page() -> None:
    text = "```\npython -m jobs.a x \\\n  --y 1  # z\nfound: 3\n```\n```python\nmake it\n```\n"
    assert commands(text) == [["python", "-m", "jobs.a", "x", "--y", "1"]]
    assert anchors("# Figures, here\n```\n# comment\n```\n") == {"figures-here"}
