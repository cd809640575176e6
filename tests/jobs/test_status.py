"""The weekly page as a person makes it."""

import errno
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.status import WEEK, make_project
from jobs.status import main
from pipeline.core.errors import EXIT_INPUT
from tests.fakes.records import attempt, metered, write_run

ROOT = Path(__file__).parents[2]
BASELINE = ROOT / "bench" / "baselines" / "scaling.2_cores_of_amd_epyc.cpu.json"
FIXTURE = Path(__file__).parent / "fixtures" / "sacct" / "week.txt"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a few runs, a repository of two commits and a cluster."""
    monkeypatch.chdir(tmp_path)
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "sacct").write_text(f"#!/bin/sh\ncat {FIXTURE}\n")
    (programs / "sacct").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    for variable in ("GIT_DIR", "GIT_WORK_TREE"):
        monkeypatch.delenv(variable, raising=False)
    subprocess.run(["git", "init", "-q"], check=True)
    for day, subject in (("2026-11-24", "Draw | faster"), ("2026-11-17", "Begin")):
        when = f"{day}T12:00:00+00:00"
        subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty",
             "-m", subject], check=True,
            env={"GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when, "PATH": "/usr/bin:/bin"},
        )  # fmt: skip
    runs = tmp_path / "runs"
    write_run(runs, "train/tiles/one", attempt(telemetry=metered(xids=[79])), num_images=640)
    write_run(runs, "generate/tiles/bad", attempt(reason="no such LoRA"), status="failed")
    lost = write_run(runs, "train/tiles/lost", attempt(job_id="102_3"), status="running")
    (lost / "metrics.jsonl").write_text('{"num_images": 4711}\n')
    write_run(runs, "train/tiles/half").joinpath("run.json").write_text('{"format": "dgx')
    return tmp_path


def page(*arguments: str) -> str:
    assert main(["--week", "2026-W48", *arguments]) == 0
    return Path("STATUS.md").read_text()


@pytest.mark.usefixtures("project")
def test_the_page_tells_what_happened_and_what_needs_a_look() -> None:
    text = page()
    wanted = text.partition("## Milestones")[0]
    for told in ("XID 79", "train/tiles/half", "train/tiles/lost", "FAILED", "1 of 3"):
        assert told in wanted
    assert "no such LoRA" in text.partition("## Failures")[2]
    assert "4,711" in text
    assert "36.5" in text.partition("## Slurm")[2]
    assert "Draw \\| faster" in text
    assert "- `" in text
    assert "Begin" not in text.partition("## Changes")[2]


@pytest.mark.usefixtures("project")
def test_the_same_records_give_the_same_bytes() -> None:
    first = page()
    assert page() == first
    assert main(["--week", "2026-W47"]) == 0
    assert Path("STATUS.md").read_text() != first


@pytest.mark.usefixtures("project")
def test_a_new_run_leaves_the_sections_that_it_is_not_in() -> None:
    before = sections(page())
    write_run(Path("runs"), "prepare/tiles/new", num_images=3)
    after = sections(page())
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"", "Needs attention", "Week over week", "Runs", "Energy and cost"}
    assert "prepare/tiles/new" in after["Runs"]


def sections(text: str) -> dict[str, str]:
    parts = f" \n{text}".split("\n## ")
    return {"": parts[0]} | dict(part.split("\n", 1) for part in parts[1:])


def test_every_link_leads_somewhere_and_no_path_of_the_machine_is_told(project: Path) -> None:
    text = page()
    targets = [part.split(")")[0] for part in text.split("](")[1:]]
    assert len(targets) >= 3
    for target in targets:
        assert (project / target).exists(), target
    assert str(project) not in text


@pytest.mark.usefixtures("project")
def test_every_row_of_a_table_has_as_many_cells_as_its_head() -> None:
    lines = page().replace("\\|", "").splitlines()
    for above, line in itertools.pairwise(lines):
        if above.startswith("|") and line.startswith("|"):
            assert above.count("|") == line.count("|"), line


@pytest.mark.usefixtures("project")
def test_a_price_makes_a_cost_and_none_is_made_up() -> None:
    assert "cost, " not in page()
    assert "| cost, CHF | 17 |" in page("--price-per-gpu-hour=2", "--price-per-kwh=5",
                                        "--currency=CHF")  # fmt: skip


def test_thousands_of_broken_records_are_a_few_lines(project: Path) -> None:
    for index in range(50):
        (write_run(project / "runs", f"train/x/{index}") / "run.json").write_text("{")
    told = page().partition("## Milestones")[0]
    assert told.count("Cannot be read") <= 6
    assert "46 more" in told


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--week", "2026-W60"], "--week"),
        (["--week", "2026-W48", "--runs-dir", "nowhere"], "nowhere"),
        (["--week", "2026-W48", "--out", "runs"], "--out"),
        (["--week", "2026-W48", "--out", "runs/train/tiles/one/run.json/x"], "--out"),
    ],
)
def test_what_is_wrong_is_one_line(
    project: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], named: str
) -> None:
    assert main(arguments) == EXIT_INPUT
    said = capsys.readouterr().err
    assert named in said
    assert said.count("\n") == 1
    assert not (project / "STATUS.md").exists()


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("amount", ["-1", "nan", "inf", "much"])
def test_a_price_is_a_number(amount: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([f"--price-per-kwh={amount}"])
    assert ended.value.code == EXIT_INPUT
    assert "--price-per-kwh" in capsys.readouterr().err


@pytest.mark.usefixtures("project")
def test_the_week_asked_for_is_told_before_that_in_front_of_it() -> None:
    # Nothing had run by then: both weeks are there all the same.
    assert main(["--week", "2026-W40"]) == 0
    (head,) = [
        line
        for line in sections(Path("STATUS.md").read_text())["Week over week"].splitlines()
        if line.startswith("|") and "2026" in line
    ]
    assert [cell.strip() for cell in head.split("|")][2:4] == ["2026-W40", "2026-W39"]


def test_the_script_runs_where_there_is_no_slurm(project: Path) -> None:
    done = subprocess.run(
        [ROOT / "sbatch" / "status_weekly.sh", "--week", "2026-W48",
         f"--runs-dir={project / 'runs'}", f"--out={project / 'STATUS.md'}"],
        cwd=project, env={"PATH": "/usr/bin:/bin", "PYTHON": sys.executable},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "# Status of 2026-W48" in (project / "STATUS.md").read_text()


def test_the_bench_makes_records_that_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_project(tmp_path, num_runs=200)
    assert main(["--week", WEEK]) == 0
    text = (tmp_path / "STATUS.md").read_text()
    assert "from 200 run folders" in text
    assert "## Failures" in text
    assert "Cannot be read" not in text


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(10**400),
    lambda each: st.lists(each, max_size=2) | st.dictionaries(st.text(), each, max_size=2),
    max_leaves=3,
)


def leaves(value: Any, *path: Any) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    parts: Any = ()
    if isinstance(value, dict | list):
        parts = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in parts:
        yield from leaves(part, *path, key)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_stands_in_a_record_the_page_is_written(
    data: st.DataObject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    for path in (
        write_run(Path("runs"), "train/a/1", attempt(telemetry=metered()), validation_loss=0.1)
        / "run.json",
        Path(shutil.copy(BASELINE, write_run(Path("runs"), "bench/scaling/1") / "bench.json")),
    ):
        record = json.loads(path.read_text())
        *above, last = data.draw(st.sampled_from(list(leaves(record))))
        part = record
        for key in above:
            part = part[key]
        part[last] = data.draw(JUNK)
        path.write_text(json.dumps(record))
    assert main(["--week", "2026-W48", f"--baselines-dir={BASELINE.parent}"]) == 0


def test_a_run_that_cannot_be_opened_is_told(project: Path) -> None:
    record = project / "runs" / "train" / "tiles" / "one" / "run.json"
    record.unlink()
    record.mkdir()
    assert "train/tiles/one/run.json" in page().partition("## Milestones")[0]


def test_a_clock_that_is_ahead_is_told(project: Path) -> None:
    assert "**Clock**" not in page()
    write_run(project / "runs", "train/tiles/ahead", attempt("2126-11-25T02:00:00+00:00"))
    (line,) = [line for line in page().splitlines() if "**Clock**" in line]
    assert "train/tiles/ahead" in line
    assert "2126-11-25" in line


@pytest.mark.usefixtures("project")
def test_a_milestone_that_is_new_says_how_it_stood() -> None:
    shutil.copytree(BASELINE.parent, "baselines")
    before = ("--week", "2026-W47", "--baselines-dir=baselines")
    assert main(before) == 0
    assert "(the week before" not in sections(Path("STATUS.md").read_text())["Milestones"]
    text = sections(page("--baselines-dir=baselines"))["Milestones"]
    (loader,) = [line for line in text.splitlines() if line.startswith("| M2")]
    assert "**met** (the week before: not measured)" in loader


def test_a_training_is_drawn_as_bars(project: Path) -> None:
    rows = [{"num_images": 8 * n, "train/loss": 1 / n} for n in range(1, 9)]
    curve = project / "runs" / "train" / "tiles" / "one" / "metrics.jsonl"
    curve.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (line,) = [line for line in page().splitlines() if line.startswith("| [train/tiles/one]")]
    bars = line.split("`")[1]
    assert len(bars) == len(rows)
    assert list(bars) == sorted(bars, reverse=True)
    curve.write_text("no row\n")
    assert "cannot be read" in sections(page())["Runs"]


def test_where_git_and_sacct_say_nothing_the_page_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    write_run(tmp_path / "runs", "train/tiles/one")
    told = sections(page())
    for name in ("Slurm", "Changes"):
        assert [line for line in told[name].splitlines() if line] == [
            line for line in told[name].splitlines() if line.startswith("Not told: ")
        ], name


def test_a_page_that_cannot_be_written_is_as_it_was(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = page()
    write_run(project / "runs", "train/tiles/two")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert main(["--week", "2026-W48"]) == EXIT_INPUT
    assert "No space left" in capsys.readouterr().err
    assert (project / "STATUS.md").read_text() == before
    assert not [path for path in project.iterdir() if path.name.startswith(".STATUS")]


def test_folders_that_cannot_be_looked_into_are_told(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may look into everything: so the system is made to refuse."""
    closed = [project / name for name in ("runs/train", "baselines")]
    closed[1].mkdir()
    scandir, listdir = os.scandir, os.listdir

    def refusing(ask: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def asked(path: Any) -> Any:
            if Path(path).absolute() in closed:
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return ask(path)

        return asked

    monkeypatch.setattr("os.scandir", refusing(scandir))
    monkeypatch.setattr("os.listdir", refusing(listdir))
    wanted = page("--baselines-dir=baselines").partition("## Milestones")[0]
    told = [line for line in wanted.splitlines() if "Permission denied" in line]
    assert [name for name in ("train", "baselines") if not any(name in line for line in told)] == []
    assert "generate/tiles/bad" in Path("STATUS.md").read_text()


def test_nothing_measured_is_no_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    assert main(["--week", "2026-W48"]) == 0
    text = (tmp_path / "STATUS.md").read_text()
    assert "0 of 5 milestones" in text
    assert json.dumps(text).count("nan") == 0
