"""Nodes out of fixture files: a healthy one, with what is different on a broken one laid over."""

import stat
from pathlib import Path

from bench.preflight.check import Request, expected, judge
from bench.preflight.collect import Answer
from bench.preflight.commands import GPU_COMMANDS, SLURM_COMMANDS
from bench.preflight.finding import Finding
from bench.preflight.visible import keep_visible

FIXTURES = Path(__file__).parent / "fixtures"
MISSING = Answer(trouble="not installed", is_missing=True)
HUNG = Answer(trouble="no answer within 7 s")


def node(name: str = "dgx_b200", *faults: str, **answers: Answer) -> dict[str, Answer]:
    """Answers of a node; ``answers`` win over files."""
    files = {
        path.stem: Answer(text=path.read_text())
        for folder in (name, *faults)
        for path in sorted((FIXTURES / folder).glob("*.txt"))
    }
    assert all((FIXTURES / fault).is_dir() for fault in faults)
    return {"journal": MISSING} | files | answers


def judged(answers: dict[str, Answer], **request: object) -> dict[str, Finding]:
    """Findings by name; of two with one name the worse."""
    asked = Request(**({"runs_dir": Path()} | request))  # type: ignore[arg-type]
    answers = keep_visible(answers, asked.visible)
    found: dict[str, Finding] = {}
    for finding in judge(answers, expected(asked, answers), asked):
        if finding.name not in found or finding.level > found[finding.name].level:
            found[finding.name] = finding
    return found


def programs(folder: Path, name: str, *faults: str, hang: str = "") -> Path:
    """Programs that say what the files say: ``nvidia-smi`` and the like for a PATH.

    Args:
        folder: Where to write them.
        name: Healthy node.
        faults: Laid over it.
        hang: Question that gets no answer, by its name in ``commands``.
    """
    folder.mkdir()
    cases: dict[str, list[str]] = {}
    for question, command in {**GPU_COMMANDS, **SLURM_COMMANDS}.items():
        files = [FIXTURES / part / f"{question}.txt" for part in (name, *faults)]
        there = [file for file in files if file.exists()]
        act = "exec sleep 60" if question == hang else f"cat '{there[-1]}'" if there else "exit 3"
        cases.setdefault(command[0], []).append(f"'{' '.join(command[1:])}') {act} ;;")
    for program, lines in cases.items():
        script = folder / program
        script.write_text('#!/bin/sh\ncase "$*" in\n' + "\n".join(lines) + "\n*) exit 2 ;;\nesac\n")
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return folder
