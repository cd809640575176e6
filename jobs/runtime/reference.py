"""``docs/configs.md``, out of the dataclasses and the YAML files.

python -m jobs.runtime.reference > docs/configs.md
"""

import sys
from collections.abc import Iterable

from jobs.conf import BenchJob, EvaluateJob, GenerateJob, JobConfig, PrepareJob, SmokeJob, TrainJob
from jobs.runtime.config import CONFIGS
from jobs.runtime.helptext import Key, all_keys

HEAD = """\
# Configuration

Made by `python -m jobs.runtime.reference`; a test says when it is out of date. `group=choice` takes
a named choice, `key=value` sets one setting; `+experiment=NAME` (train), `+dataset=NAME` (prepare)
and `+work=NAME` (generate) take a whole composition. `--cfg job` shows what comes out.
"""
JOBS = {
    "prepare": PrepareJob,
    "train": TrainJob,
    "generate": GenerateJob,
    "evaluate": EvaluateJob,
    "bench": BenchJob,
    "smoke": SmokeJob,
}


def reference() -> str:
    """Return the page."""
    common = list(all_keys(JobConfig))
    names = {key.name for key in common}
    parts = [HEAD, "## Named choices\n", *_choices(), "\n## Every job\n", _table(common)]
    for job, schema in JOBS.items():
        own = [key for key in all_keys(schema) if key.name not in names]
        parts += [f"\n## jobs.{job}\n", _table(own)]
    return "\n".join(parts) + "\n"


def _choices() -> list[str]:
    rows = ["| group | choice | what |", "| --- | --- | --- |"]
    for group in sorted(p for p in CONFIGS.iterdir() if p.is_dir()):
        rows += [
            f"| {group.name} | {file.stem} | {_about(file.read_text(encoding='utf-8'))} |"
            for file in sorted(group.glob("*.yaml"))
        ]
    return rows


def _about(text: str) -> str:
    """Return the first comment that is not a directive of Hydra's."""
    comments = [line[1:].strip() for line in text.splitlines() if line.startswith("#")]
    told = [line for line in comments if not line.startswith("@package")]
    return told[0].removeprefix("What:").strip() if told else ""


def _table(keys: Iterable[Key]) -> str:
    rows = ["| key | default | what |", "| --- | --- | --- |"]
    for key in keys:
        allowed = (
            f"One of {', '.join(f'`{value}`' for value in key.allowed)}. " if key.allowed else ""
        )
        rows.append(f"| `{key.name}` | `{key.default}` | {allowed}{key.doc.replace('``', '`')} |")
    return "\n".join(rows)


def main() -> int:
    """Print the page."""
    sys.stdout.write(reference())
    return 0


if __name__ == "__main__":
    sys.exit(main())
