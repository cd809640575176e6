"""What the documents of this repository say that a program can look up: links and commands."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from jobs.conf import JobConfig
from jobs.runtime.config import compose_config
from jobs.smoke import SmokeJob
from pipeline.core.errors import InputError

ROOMS = ("jobs", "pipeline", "train", "eval", "bench", "repro", "sbatch", "deploy", "docs", "tests")
PYTHON_ROOMS = ("jobs", "pipeline", "train", "eval", "bench", "repro")
LAUNCHED = {"bench", "evaluate", "generate", "prepare", "smoke", "train"}
# Scripts that hand what stands behind their name to jobs.smoke.
SMOKES = ("repro/run.sh", "sbatch/smoke.sh")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SHELLS = ("", "bash", "sh", "console")


def all_documents(root: Path) -> list[Path]:
    """Every Markdown file of the project, and none of its data, runs or environments."""
    found = [*root.glob("*.md"), *(page for room in ROOMS for page in (root / room).rglob("*.md"))]
    # Parts of docs/metrics.md, whose links are looked up there.
    return sorted(page for page in found if page.parent != root / "eval" / "assets")


@dataclass(frozen=True)
class Project:
    """A place with documents and the things they name."""

    root: Path

    def broken_links(self, page: Path) -> list[str]:
        """Return the targets of a page's links that lead nowhere: files, and headings in them."""
        text = FENCE.sub("", page.read_text(encoding="utf-8"))
        targets = re.findall(r"\]\(<?([^)\s>]+)>?(?: \"[^\"]*\")?\)", text)
        return [each for each in targets if "://" not in each and not self._leads(page, each)]

    def _leads(self, page: Path, target: str) -> bool:
        if target.startswith("runs/"):
            # STATUS.md tells of run folders, which stand where the runs were made and not in git.
            return True
        name, _, anchor = target.partition("#")
        file = page.parent / name if name else page
        if not file.exists() or not anchor:
            return file.exists() and not target.endswith("#")
        return file.suffix == ".md" and anchor in anchors(file.read_text(encoding="utf-8"))

    def faults(self, page: Path) -> list[str]:
        """Return what a page's commands name and is not there, a line each."""
        found = []
        for tokens in commands(page.read_text(encoding="utf-8")):
            found += [f"{shlex.join(tokens)}: {fault}" for fault in self._look_up(tokens)]
        return found

    def _look_up(self, tokens: list[str]) -> list[str]:
        first, *rest = tokens
        if first.rpartition("/")[2] in ("python", "python3") and rest[:1] == ["-m"]:
            return self._module(rest[1], rest[2:])
        if first == "make":
            return self._targets(rest)
        script, more = first, rest
        if first == "sbatch":
            # Its own options stand before the script; what is no path belongs to them.
            at = next((i for i, each in enumerate(rest) if each.endswith(".sh")), None)
            if at is None:
                return [] if not rest else ["no script"]
            script, more = rest[at], rest[at + 1 :]
        if not (self.root / script).is_file():
            return [f"no file {script}"]
        return _smoke_keys(more) if script in SMOKES else []

    def _module(self, module: str, arguments: list[str]) -> list[str]:
        room, _, name = module.partition(".")
        if room not in PYTHON_ROOMS or module == "jobs.X":
            return []
        path = self.root / module.replace(".", "/")
        sources = [path.with_suffix(".py")] if not path.is_dir() else sorted(path.rglob("*.py"))
        if not (path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()):
            return [f"no module {module}"]
        told = "".join(source.read_text(encoding="utf-8") for source in sources)
        if room == "jobs" and name in LAUNCHED:
            told += '"--help" "--cfg"'
        asked = [each.partition("=")[0] for each in arguments[: _end(arguments)]]
        options = [each for each in asked if re.fullmatch(r"--[a-z][\w-]*", each)]
        return [f"no option {o} in {module}" for o in options if not _has(o, told)]

    def _targets(self, names: list[str]) -> list[str]:
        makefile = (self.root / "Makefile").read_text(encoding="utf-8")
        known = set(re.findall(r"^([\w/.-]+):(?!=)", makefile, re.MULTILINE))
        wanted = [name for name in names if "=" not in name and not name.startswith("-")]
        return [f"no target {name}" for name in wanted if name not in known]


def _end(arguments: list[str]) -> int:
    """Where a command's own arguments end and those of another, behind ``--``, begin."""
    return arguments.index("--") if "--" in arguments else len(arguments)


def _has(option: str, source: str) -> bool:
    positive = option.replace("--no-", "--", 1)
    return option == "--help" or f'"{option}"' in source or f'"{positive}"' in source


def _smoke_keys(arguments: list[str]) -> list[str]:
    overrides = [each for each in arguments if "=" in each and not each.startswith("--")]
    try:
        config: JobConfig = compose_config("smoke", SmokeJob, overrides)
    except InputError as error:
        return [str(error)]
    assert config.cluster
    return []


def anchors(text: str) -> set[str]:
    """Return the names that headings get: as GitHub makes them, repeated ones numbered."""
    found: dict[str, int] = {}
    made = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", FENCE.sub("", text), re.MULTILINE):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        count = found.get(name, 0)
        found[name] = count + 1
        made.add(f"{name}-{count}" if count else name)
    return made


def commands(text: str) -> list[list[str]]:
    """Return the commands in fenced shell blocks and in inline code, as words.

    A line counts that begins with ``python -m``, ``make``, ``sbatch`` or a file of the project;
    what is printed, listed or sketched does not.
    """
    blocks = [body for language, body in FENCE.findall(text) if language in SHELLS]
    spans = re.findall(r"(?<!`)`([^`]+)`(?!`)", FENCE.sub("", text))
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    lines += [" ".join(span.split()) for span in spans]
    parts = [p for line in lines for p in re.split(r" && | \|\| | ; ", line.removeprefix("$ "))]
    return [tokens for part in parts if (tokens := _words(part))]


def _words(line: str) -> list[str]:
    bare = re.sub(r"^(?:[A-Z_]+=\S+ )+", "", line.strip())
    begins = r"(?:\S*/)?python3? -m \w+\.|make [a-z]|sbatch |(?:repro|sbatch|deploy)/[\w./-]+"
    if not re.match(begins, bare) or bare.startswith("python -m pytest"):
        return []
    # A file or folder that is only named is a matter of links, not of commands.
    try:
        words = shlex.split(bare, comments=True)
    except ValueError:
        return []
    return words if len(words) > 1 or words[0].endswith(".sh") else []
