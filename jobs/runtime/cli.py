"""The command line of every launched job."""

import shlex
import sys
from collections.abc import Callable, Sequence
from typing import Any

from jobs.conf import JobConfig
from jobs.runtime.config import compose_config, expand_sweep, freeze
from jobs.runtime.freeze import freeze_run
from jobs.runtime.helptext import help_text
from jobs.runtime.launch import launch
from pipeline.core.errors import InputError, one_line_errors


@one_line_errors
def main(
    job: str,
    schema: type[Any],
    argv: Sequence[str] | None = None,
    *,
    preview: Callable[[Any], str | None] = lambda _: None,
) -> int:
    """Compose, freeze and submit; return the exit status.

    Args:
        job: Name of the verb: ``jobs/<job>.py`` and ``configs/<job>.yaml``.
        schema: Its root dataclass.
        argv: Arguments without the program's name.
        preview: From a config to what is shown instead of submitting it; None submits.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if {"-h", "--help"} & set(arguments):
        print(help_text(job, schema))
        return 0
    return _dispatch(job, schema, arguments, preview)


def _dispatch(
    job: str, schema: type[Any], arguments: list[str], preview: Callable[[Any], str | None]
) -> int:
    shows = "--cfg" in arguments
    if shows:
        at = arguments.index("--cfg")
        if arguments[at + 1 : at + 2] != ["job"]:
            raise InputError("--cfg: give `--cfg job`")
        del arguments[at : at + 2]
    sweeps = bool({"-m", "--multirun"} & set(arguments))
    overrides = [a for a in arguments if a not in ("-m", "--multirun")]
    unknown = [a for a in overrides if a.startswith("-")]
    if unknown:
        raise InputError(f"{unknown[0]}: unknown option; allowed: --help, --cfg job, -m")
    # All points are composed before any is submitted: a typo costs nothing.
    points = expand_sweep(overrides) if sweeps else [overrides]
    configs: list[JobConfig] = [compose_config(job, schema, point) for point in points]
    if shows:
        from pathlib import Path

        print("\n---\n".join(freeze(config, base=Path.cwd()) for config in configs), end="")
        return 0
    status = 0
    for point, config in zip(points, configs, strict=True):
        shown = preview(config)
        if shown is not None:
            print(shown)
            continue
        command = shlex.join(["python", "-m", f"jobs.{job}", *point])
        run_dir = freeze_run(job, config, command=command)
        array = getattr(config, "array", 1)
        status = max(
            status, launch(run_dir, config.cluster, job=job, wait=config.wait, array=array)
        )
    return status
